/**
 * What is due today, and what is overdue.
 *
 * @import { Wanted } from "../lists.js"
 * @import { View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { addDays, dayOf, dueAt, instantOf, today, wholeDay } from "../dates.js";
import { OPEN } from "../lists.js";
import { listState } from "../parts/list-state.js";
import { usually } from "../parts/quick-add.js";
import { Rows } from "../parts/rows.js";
import { store } from "../store.js";
import * as text from "../text.js";

/** What is due until the day ends. @returns {Wanted} */
export function dueToday() {
  const end = instantOf(addDays(today(), 1)).toISOString();
  return { status: OPEN, due_before: end, sort: "due_date" };
}

/** @returns {View} */
export function makeView() {
  const rows = new Rows({ atEnd: () => store.more(store.list(dueToday())) });
  usually(() => ({ words: today(), becomes: () => ({ due_date: dueAt(today()) }) }));
  return {
    render() {
      const list = store.list(dueToday());
      const day = today();
      const isBefore = (/** @type {string} */ id) => dayOf(new Date(store.task(id)?.due_date ?? 0)) < day;
      const overdue = list.ids.filter(isBefore);
      const due = list.ids.filter((id) => !isBefore(id));
      const sections = [
        ...(overdue.length > 0 ? [{ key: "overdue", title: "Overdue", kind: "is-overdue", ids: overdue }] : []),
        ...(due.length > 0
          ? [{ key: "today", ids: due, isDated: true, ...(overdue.length > 0 ? { title: "Today" } : {}) }]
          : []),
      ];
      return html`<main id="content">
        <header class="view-head">
          <h1 tabindex="-1">Today <small>${wholeDay(day)}</small></h1>
        </header>
        ${rows.render(sections)} ${listState(list, { title: text.NO_TASKS_TODAY, icon: "today" })}
      </main>`;
    },
    left: () => {
      rows.stop();
      usually(() => null);
    },
  };
}
