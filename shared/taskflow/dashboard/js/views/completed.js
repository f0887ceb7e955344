/**
 * What was completed, by the day on which it was.
 *
 * @import { Wanted } from "../lists.js"
 * @import { Section } from "../parts/rows.js"
 * @import { View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { dayOf, daysBetween, nameOfDay, shortDay, today } from "../dates.js";
import { listState } from "../parts/list-state.js";
import { Rows } from "../parts/rows.js";
import { remembered } from "../remember.js";
import { store } from "../store.js";
import * as text from "../text.js";

/** @type {Wanted} */
const COMPLETED = { status: ["completed"], sort: "-updated_at" };

/** @returns {View} */
export function makeView() {
  const rows = new Rows({ atEnd: () => store.more(store.list(COMPLETED)) });
  const sections = remembered(sectionsOf);
  return {
    render() {
      const list = store.list(COMPLETED);
      return html`<main id="content">
        <header class="view-head"><h1 tabindex="-1">Completed</h1></header>
        ${rows.render(sections(list.ids, today(), list.hasMore, list.revision))}
        ${listState(list, { title: "Nothing is completed yet.", hint: "What you complete is kept here.", icon: "done" })}
      </main>`;
    },
    left: () => rows.stop(),
  };
}

/**
 * Return what was completed in days, the last one first.
 *
 * @param {readonly string[]} ids in the order of their last change
 * @param {string} now
 * @param {boolean} hasMore
 * @param {number} _revision
 * @returns {Section[]}
 */
function sectionsOf(ids, now, hasMore, _revision) {
  const tasks = ids.flatMap((id) => store.task(id) ?? []);
  // What was completed since then was changed since then, and so is here; of before, not all may be.
  const since = hasMore ? (tasks.at(-1)?.updated_at ?? "") : "";
  const known = tasks
    .map((task) => ({ id: task.id, at: task.completed_at ?? task.updated_at }))
    .filter(({ at }) => at >= since)
    .sort((one, other) => (one.at < other.at ? 1 : -1));
  const days = [...Map.groupBy(known, ({ at }) => dayOf(new Date(at)))];
  return days.map(([day, there], at) => {
    const isNear = daysBetween(day, now) < 2;
    const details = [
      isNear ? shortDay(day) : "",
      day.slice(0, 4) === now.slice(0, 4) ? "" : day.slice(0, 4),
      hasMore && at === days.length - 1 ? "" : text.counted(there.length, "task"),
    ];
    return {
      key: day,
      title: isNear ? nameOfDay(day) : shortDay(day),
      detail: details.filter((part) => part !== "").join(" · "),
      ids: there.map(({ id }) => id),
      shows: "completed",
    };
  });
}
