/**
 * What is to come, day by day.
 *
 * @import { Wanted } from "../lists.js"
 * @import { Section } from "../parts/rows.js"
 * @import { View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { addDays, dayAndMonth, dayOf, daysBetween, dueAt, instantOf, nameOfDay, shortDay, today } from "../dates.js";
import { OPEN } from "../lists.js";
import { icon } from "../parts/icons.js";
import { listState } from "../parts/list-state.js";
import { moveTo } from "../parts/move.js";
import { openQuickAdd } from "../parts/quick-add.js";
import { Rows } from "../parts/rows.js";
import { remembered } from "../remember.js";
import { store } from "../store.js";

/** How many days are shown though nothing is due on them: what is moved can go there. */
const DAYS_SHOWN = 14;

/** All that is due at some time. @type {Wanted} */
const DUE = { status: OPEN, due_before: "9999-01-01T00:00:00Z", sort: "due_date" };

/** @returns {View} */
export function makeView() {
  const rows = new Rows({
    atEnd: () => store.more(store.list(DUE)),
    dropped: (id, { day }) => day !== undefined && moveTo(id, day),
  });
  /** The tasks of each day, as they were before. @type {Map<string, readonly string[]>} */
  let before = new Map();
  const sections = remembered((/** @type {Parameters<typeof sectionsOf>} */ ...given) => {
    const found = sectionsOf(...given).map((section) => ({ ...section, ids: sameOr(before.get(section.key), section.ids) }));
    before = new Map(found.map(({ key, ids }) => [key, ids]));
    return found;
  });
  return {
    render() {
      const list = store.list(DUE);
      return html`<main id="content" class="agenda">
        <header class="view-head"><h1 tabindex="-1">Upcoming</h1></header>
        ${list.cursor === undefined && list.ids.length === 0
          ? listState(list, { title: "" })
          : html`${rows.render(sections(list.ids, today(), list.hasMore, list.revision))}
            ${list.ids.length > 0 || list.error ? listState(list, { title: "" }) : ""}`}
      </main>`;
    },
    left: () => rows.stop(),
  };
}

/**
 * Return what is due in days, what is overdue first.
 *
 * @param {readonly string[]} ids in the order of their due dates
 * @param {string} now
 * @param {boolean} hasMore
 * @param {number} _revision
 * @returns {Section[]}
 */
function sectionsOf(ids, now, hasMore, _revision) {
  const begins = stampOf(now);
  const isOverdue = (/** @type {string} */ id) => dueOf(id) < begins;
  const first = ids.findIndex((id) => !isOverdue(id));
  const overdue = first < 0 ? ids : ids.slice(0, first);
  /** @type {Map<string, string[]>} */
  const days = new Map();
  let [day, ends] = ["", ""];
  for (const id of ids.slice(overdue.length)) {
    const due = dueOf(id);
    if (due >= ends) {
      day = dayOf(new Date(due));
      ends = stampOf(addDays(day, 1));
      days.set(day, []);
    }
    days.get(day)?.push(id);
  }
  // What comes later is not known yet.
  const known = hasMore ? day : addDays(now, DAYS_SHOWN - 1);
  const empty = Array.from({ length: DAYS_SHOWN }, (_, at) => addDays(now, at)).filter((each) => each <= known && !days.has(each));
  empty.forEach((each) => days.set(each, []));
  return [
    ...(overdue.length > 0 ? [{ key: "overdue", title: "Overdue", kind: "is-overdue", ids: overdue }] : []),
    ...[...days].sort(([one], [other]) => (one < other ? -1 : 1)).map(([each, there]) => sectionOf(each, there, now)),
  ];
}

/** Return the ids as they were, if they are the same: their rows need not be divided again. @param {readonly string[] | undefined} before @param {readonly string[]} ids */
function sameOr(before, ids) {
  return before?.length === ids.length && ids.every((id, at) => id === before[at]) ? before : ids;
}

/** @param {string} day @param {string[]} ids @param {string} now @returns {Section} */
function sectionOf(day, ids, now) {
  const name = nameOfDay(day);
  const days = daysBetween(now, day);
  const year = day.slice(0, 4) === now.slice(0, 4) ? "" : day.slice(0, 4);
  return {
    key: day,
    day,
    title: days < 7 ? name : shortDay(day),
    detail: days < 2 ? shortDay(day) : days < 7 ? dayAndMonth(day) : year,
    kind: ids.length === 0 ? "is-free" : "",
    ids,
    isDated: true,
    tool: () => html`<button type="button" class="quiet round" aria-label=${`Add a task for ${name}`} title="Add a task"
      @click=${() => openQuickAdd({ words: day, becomes: () => ({ due_date: dueAt(day) }) })}>${icon("add")}</button>`,
  };
}

/** Return the beginning of a day as due dates are written, so that it is in order with them. @param {string} day */
function stampOf(day) {
  return instantOf(day).toISOString().replace("Z", "000Z");
}

/** @param {string} id */
function dueOf(id) {
  return store.task(id)?.due_date ?? "";
}
