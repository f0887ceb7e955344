/** Moving a task to another day: by keys, and by a dialog. */
import { html, nothing } from "../../vendor/lit-html.js";
import * as changes from "../changes.js";
import { addDays, dayOf, dueAt, isWholeDay, nameOfDay, shortDay, timeOf, today, weekdayOf } from "../dates.js";
import { shortcut } from "../keyboard.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { closeButton, closeDialog, openDialog } from "./dialog.js";
import { icon } from "./icons.js";
import { focusedId, keepingFocus } from "./row-focus.js";

const SATURDAY = 6;

/** Return the day on which a task is due. @param {string} id */
function dayFor(id) {
  const due = store.task(id)?.due_date ?? null;
  return due === null ? null : dayOf(new Date(due));
}

/** Have a task due on another day, at the time of day that it was. @param {string} id @param {string | null} day */
export function moveTo(id, day) {
  const task = store.task(id);
  if (!task || dayFor(id) === day) {
    return;
  }
  const { due_date: due, title } = task;
  const time = due === null || isWholeDay(due) ? undefined : timeOf(new Date(due));
  const due_date = day === null ? null : dueAt(day, time);
  const said = day === null ? text.undated(title) : text.moved(title, nameOfDay(day));
  keepingFocus(id, () => void changes.edit(task, { due_date }, said));
}

/** Move a task some days on; what is overdue, or has no day, is taken for today's. @param {string} id @param {number} days */
function moveBy(id, days) {
  const [day, now] = [dayFor(id), today()];
  if (day === null) {
    moveTo(id, now);
  } else {
    moveTo(id, addDays(days > 0 && day < now ? now : day, days));
  }
}

/** Ask to which day a task is to be moved. @param {string} id */
export function openMove(id) {
  openDialog({ label: "Move to another day", kind: "move", render: () => choices(id) });
}

/** @param {string} id */
function choices(id) {
  const current = dayFor(id);
  return html`<div class="dialog-head"><h2>Move to</h2>${closeButton()}</div>
    <ul class="choices" role="list">
      ${daysToChoose().map(
        ([label, day], at) =>
          html`<li>
            <button type="button" class="quiet" ?autofocus=${at === 0} aria-current=${day === current ? "date" : nothing} @click=${() => choose(id, day)}>
              ${label}<span class="count">${shortDay(day)}</span>
            </button>
          </li>`,
      )}
      ${current === null
        ? nothing
        : html`<li><button type="button" class="quiet" @click=${() => choose(id, null)}>No date</button></li>`}
    </ul>
    <form class="another-day" @submit=${(/** @type {SubmitEvent} */ event) => submit(event, id)}>
      <label>Another day <input type="date" name="day" required .value=${current ?? today()}></label>
      <button type="submit">${icon("calendar")}Move</button>
    </form>`;
}

/** @returns {[label: string, day: string][]} */
function daysToChoose() {
  const now = today();
  const weekday = weekdayOf(now) || 7;
  const [toSaturday, toMonday] = [SATURDAY - weekday, 8 - weekday];
  return [
    ["Today", now],
    ["Tomorrow", addDays(now, 1)],
    ...(toSaturday > 1 ? [/** @type {[string, string]} */ (["Saturday", addDays(now, toSaturday)])] : []),
    ...(toMonday > 1 ? [/** @type {[string, string]} */ (["Next week", addDays(now, toMonday)])] : []),
    ["In two weeks", addDays(now, 14)],
  ];
}

/** @param {SubmitEvent} event @param {string} id */
function submit(event, id) {
  event.preventDefault();
  choose(id, String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("day")));
}

/** @param {string} id @param {string | null} day */
function choose(id, day) {
  // The focus goes back to the row first, and with it then.
  closeDialog();
  moveTo(id, day);
}

const OF_ROWS = "A task in the list";
const hasRow = () => focusedId() !== "";

shortcut(
  { keys: "d", group: OF_ROWS, label: "Move it to another day", run: () => openMove(focusedId()), isOn: hasRow },
  { keys: ">", group: OF_ROWS, label: "A day later", run: () => moveBy(focusedId(), 1), isOn: hasRow },
  { keys: "<", group: OF_ROWS, label: "A day earlier", run: () => moveBy(focusedId(), -1), isOn: hasRow },
);
