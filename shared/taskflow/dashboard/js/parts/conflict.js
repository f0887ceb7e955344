/**
 * The choice between what one wanted and what the task has become elsewhere.
 *
 * @import { Conflict } from "../conflicts.js"
 * @import { Task } from "../representations.js"
 */
import { html } from "../../vendor/lit-html.js";
import * as changes from "../changes.js";
import * as conflicts from "../conflicts.js";
import { dueLabel } from "../dates.js";
import { inWords } from "../rules.js";
import * as text from "../text.js";

/** @param {Conflict} conflict @param {Task} task */
export function conflictChoice(conflict, task) {
  const wanted = /** @type {Partial<Task>} */ (conflict.change.body ?? {});
  const names = conflict.fields.map((field) => text.FIELDS[field] ?? field);
  const what = new Intl.ListFormat("en").format(names.map((name) => name.toLowerCase()));
  return html`<section class="conflict" role="group" aria-label=${`Two versions: ${what}`}>
    <p role="alert"><strong>Changed elsewhere too: the ${what}.</strong> Both are here; which one is to stay?</p>
    <div class="versions">
      <div>
        <h3>Yours</h3>
        ${conflict.fields.map((field) => html`<p dir="auto">${shown(field, wanted[field])}</p>`)}
        <button type="button" class="primary" @click=${() => void keepMine(conflict, task)}>Keep mine</button>
      </div>
      <div>
        <h3>The newer one</h3>
        ${conflict.fields.map((field) => html`<p dir="auto">${shown(field, task[field])}</p>`)}
        <button type="button" @click=${() => void keepNewer(conflict)}>Take the newer one</button>
      </div>
    </div>
  </section>`;
}

/** Have what was wanted, of the task as it is now. @param {Conflict} conflict @param {Task} task */
async function keepMine(conflict, task) {
  const { method, path, body, becomes } = conflict.change;
  const before = Object.fromEntries(Object.keys(conflict.change.before ?? {}).map((name) => [name, task[/** @type {keyof Task} */ (name)]]));
  toPanel();
  await conflicts.settle(conflict);
  await changes.attempt({ method, path, body, becomes, before, task_id: task.id, if_match: changes.tagOf(task) });
}

/** @param {Conflict} conflict */
async function keepNewer(conflict) {
  toPanel();
  await conflicts.settle(conflict);
}

/** The choice goes, and the focus with it: to what is around it. */
function toPanel() {
  /** @type {HTMLElement | null} */ (document.querySelector(".task-panel"))?.focus({ preventScroll: true });
}

/** Return a value as a person reads it. @param {keyof Task} field @param {unknown} value */
export function shown(field, value) {
  if (value === null || value === undefined || value === "" || (Array.isArray(value) && value.length === 0)) {
    return "nothing";
  }
  if (field === "due_date") {
    return dueLabel(String(value));
  }
  if (field === "recurrence_rule") {
    return inWords(String(value));
  }
  if (Array.isArray(value)) {
    return value.map((each) => `#${each}`).join(" ");
  }
  return (field === "priority" ? text.PRIORITIES : field === "status" ? text.STATUSES : {})[String(value)] ?? (typeof value === "object" ? JSON.stringify(value) : String(value));
}
