/**
 * The reminders of a task that are to come: more are added, one comes later, or not at all.
 *
 * @import { Change, Message, Page, Reminder, Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { Problem, query, Unreachable } from "../api.js";
import * as changes from "../changes.js";
import { addDays, dueAt, dueLabel, instantOf, today, wholeTime } from "../dates.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { now, update } from "../update.js";
import { icon } from "./icons.js";

const LISTED_MAX = 200;
const MINUTE_MS = 60_000;

/** How long before it is due, as it is offered. @type {Record<string, string>} */
const LEADS = {
  PT0S: "When it is due",
  PT10M: "10 minutes before",
  PT30M: "30 minutes before",
  PT1H: "1 hour before",
  PT3H: "3 hours before",
  P1D: "1 day before",
  P2D: "2 days before",
  P1W: "1 week before",
};

const AT_A_TIME = "at";

export class Reminders {
  /** As the server has them; null until they are loaded. @type {Map<string, Reminder> | null} */
  #known = null;

  /** @type {Error | null} */
  #failed = null;

  #isAdding = false;

  /** What is to be added. */
  #lead = "PT1H";

  #error = "";

  /** That whose snoozing is chosen. */
  #snoozing = "";

  /** @param {string} taskId */
  constructor(taskId) {
    this.taskId = taskId;
  }

  async load() {
    try {
      const id = store.idOf(this.taskId);
      const { body } = await session.request("GET", `reminders/pending${query({ task_id: id, limit: LISTED_MAX })}`);
      const { items } = /** @type {Page<Reminder>} */ (body);
      this.#known = new Map(items.map((reminder) => [reminder.id, reminder]));
      this.#failed = null;
    } catch (error) {
      this.#failed = /** @type {Error} */ (error);
    }
    update();
  }

  /** Take a message of the stream. @param {Message} message */
  receive({ type, data }) {
    if (!type.startsWith("reminder") || data["task_id"] !== store.idOf(this.taskId)) {
      return;
    }
    const reminder = /** @type {Reminder} */ (/** @type {unknown} */ (data));
    if (reminder.status === "scheduled") {
      this.#known?.set(reminder.id, reminder);
    } else {
      this.#known?.delete(reminder.id);
    }
    update();
  }

  /** @param {Task} task */
  render(task) {
    if (this.#known === null && this.#failed === null && !task.is_draft) {
      return html`<span class="quiet-text" role="status" aria-label="Loading">…</span>`;
    }
    const shown = this.#shown();
    const isOpen = !task.completed && task.status !== "cancelled";
    return html`<div class="reminders value">
      ${this.#failed instanceof Problem ? html`<p class="error">${this.#failed.message}</p>` : nothing}
      ${this.#failed instanceof Unreachable && this.#known === null ? html`<p class="muted">Those that are set are shown once you are back.</p>` : nothing}
      ${shown.length === 0 ? nothing : html`<ul role="list">${repeat(shown, ({ id }) => id, (reminder) => this.#row(reminder, task))}</ul>`}
      ${isOpen
        ? html`<button type="button" class="quiet add-reminder ${shown.length === 0 ? "is-empty" : ""}" aria-expanded=${this.#isAdding}
              @click=${() => this.#open(task, !this.#isAdding)}>${shown.length === 0 ? "Add a reminder" : html`${icon("add")} Add another`}</button>
            ${this.#isAdding ? this.#form(task) : nothing}`
        : shown.length === 0
          ? html`<span class="quiet-text">None, for this is closed</span>`
          : nothing}
    </div>`;
  }

  /** Return what there is with what is not answered yet. @returns {(Reminder & { isWaiting: boolean })[]} */
  #shown() {
    const added = store.changes.filter((change) => change.path === "tasks/{task_id}/reminders" && store.idOf(change.task_id ?? "") === store.idOf(this.taskId));
    const of = (/** @type {string} */ id) => store.changes.filter(({ path }) => path.startsWith(`reminders/${id}`));
    const known = [...(this.#known?.values() ?? [])]
      .filter(({ id }) => !of(id).some(({ method }) => method === "DELETE"))
      .map((reminder) => {
        const until = of(reminder.id).at(-1)?.body?.["until"];
        return { ...reminder, isWaiting: until !== undefined, ...(until === undefined ? {} : { remind_at: String(until) }) };
      });
    return [...known.sort((one, other) => (one.remind_at < other.remind_at ? -1 : 1)), ...added.map(waiting)];
  }

  /** @param {Reminder & { isWaiting: boolean }} reminder @param {Task} task */
  #row(reminder, task) {
    const { id, before_due: lead, remind_at: at, message, isWaiting } = reminder;
    const label = lead === null ? (at === "" ? "" : dueLabel(at)) : leadLabel(lead);
    return html`<li class="reminder">
      <span class="reminder-what">
        ${label}${lead !== null && at !== "" ? html` <small class="muted" title=${wholeTime(at)}>${dueLabel(at)}</small>` : nothing}
        ${isWaiting ? html`<small class="muted">to be sent</small>` : nothing}
        ${message ? html`<small class="muted" dir="auto">${message}</small>` : nothing}
      </span>
      ${id === "" || isWaiting
        ? nothing
        : html`<button type="button" class="quiet round" aria-label=${`Remind later: ${label}`} title="Remind later" aria-expanded=${this.#snoozing === id}
              @click=${() => this.#choose(id)}>${icon("clock")}</button>
            <button type="button" class="quiet round" aria-label=${`Remove the reminder: ${label}`} title="Remove" @click=${() => void this.#remove(reminder, task)}>${icon("close")}</button>`}
      ${this.#snoozing === id && id !== "" ? this.#snoozes(reminder) : nothing}
    </li>`;
  }

  /** @param {Reminder} reminder */
  #snoozes(reminder) {
    const from = Math.max(Date.now(), Date.parse(reminder.remind_at));
    const later = (/** @type {number} */ minutes) => new Date(from + minutes * MINUTE_MS).toISOString();
    const choices = [
      ["10 minutes later", later(10)],
      ["1 hour later", later(60)],
      ["Tomorrow 9:00", instantOf(addDays(today(), 1), "09:00").toISOString()],
    ];
    return html`<div class="picks" role="group" aria-label="Remind later">
      ${choices.map(([label, until]) => html`<button type="button" title=${wholeTime(String(until))} @click=${() => void this.#snooze(reminder, String(until))}>${label}</button>`)}
    </div>`;
  }

  /** @param {Task} task */
  #form(task) {
    const hasDue = task.due_date !== null;
    const isAt = this.#lead === AT_A_TIME || !hasDue;
    return html`<form class="editor reminder-editor" aria-label="Add a reminder" @submit=${(/** @type {SubmitEvent} */ event) => void this.#add(event, task)}
      @keydown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") {
          event.preventDefault();
          this.#open(task, false);
        }
      }}>
      <label><span>When</span>
        <select name="lead" @change=${(/** @type {Event} */ event) => {
          this.#lead = /** @type {HTMLSelectElement} */ (event.target).value;
          update();
        }}>
          ${hasDue ? Object.entries(LEADS).map(([value, label]) => html`<option value=${value} ?selected=${value === this.#lead && !isAt}>${label}</option>`) : nothing}
          <option value=${AT_A_TIME} ?selected=${isAt}>At a time…</option>
        </select>
      </label>
      ${isAt
        ? html`<div class="line">
            <input type="date" name="day" aria-label="Day" required .defaultValue=${today()}>
            <input type="time" name="time" aria-label="Time" required .defaultValue=${"09:00"}>
          </div>`
        : nothing}
      <label><span>Say (if you like)</span><input name="message" maxlength="1000" autocomplete="off" dir="auto"></label>
      ${this.#error ? html`<p class="error" role="alert">${this.#error}</p>` : nothing}
      <div class="dialog-actions">
        <span class="spring"></span>
        <button type="button" class="quiet" @click=${() => this.#open(task, false)}>Cancel</button>
        <button type="submit" class="primary">Remind me</button>
      </div>
    </form>`;
  }

  /** @param {Task} task @param {boolean} isOpen */
  #open(task, isOpen) {
    this.#isAdding = isOpen;
    this.#lead = task.due_date === null ? AT_A_TIME : "PT1H";
    this.#error = "";
    now();
    /** @type {HTMLElement | null} */ (document.querySelector(isOpen ? ".reminder-editor select" : ".add-reminder"))?.focus();
  }

  /** @param {SubmitEvent} event @param {Task} task */
  async #add(event, task) {
    event.preventDefault();
    const given = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const [lead, day, time, said] = ["lead", "day", "time", "message"].map((name) => String(given.get(name) ?? "").trim());
    const body = {
      ...(lead === AT_A_TIME ? { remind_at: dueAt(String(day), time) } : { before_due: lead }),
      ...(said ? { message: said } : {}),
    };
    try {
      const adding = add(task.id, body);
      this.#open(task, false);
      await adding;
      await this.load();
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      this.#isAdding = true;
      this.#error = error.errors[0]?.detail ?? error.message;
      update();
    }
  }

  /** @param {Reminder} reminder @param {Task} task */
  async #remove(reminder, task) {
    const { id, before_due, remind_at, message } = reminder;
    const again = { ...(before_due === null ? { remind_at } : { before_due }), ...(message === null ? {} : { message }) };
    const removing = changes.attempt({ method: "DELETE", path: `reminders/${id}`, body: null, task_id: null, becomes: null });
    changes.undoable("Removed the reminder", async () => {
      await add(task.id, again);
      await this.load();
    });
    /** @type {HTMLElement | null} */ (document.querySelector(".add-reminder"))?.focus();
    await removing;
    await this.load();
  }

  /** @param {Reminder} reminder @param {string} until */
  async #snooze({ id }, until) {
    this.#snoozing = "";
    const snoozing = changes.attempt({ method: "POST", path: `reminders/${id}/snooze`, body: { until }, task_id: null, becomes: {} });
    /** @type {HTMLElement | null} */ (document.querySelector(".task-panel"))?.focus({ preventScroll: true });
    await snoozing;
    await this.load();
  }

  /** @param {string} id */
  #choose(id) {
    this.#snoozing = this.#snoozing === id ? "" : id;
    update();
  }
}

/** @param {string} taskId @param {Record<string, unknown>} body */
async function add(taskId, body) {
  await changes.make({ method: "POST", path: "tasks/{task_id}/reminders", body, task_id: taskId, becomes: {} });
}

/** A reminder that is not sent yet. @param {Change} change @returns {Reminder & { isWaiting: boolean }} */
function waiting({ key, task_id: taskId, body }) {
  const { remind_at: at, before_due: lead, message } = /** @type {Record<string, string | undefined>} */ (body ?? {});
  return {
    id: key,
    task_id: taskId ?? "",
    remind_at: at ?? "",
    before_due: lead ?? null,
    message: message ?? null,
    status: "scheduled",
    isWaiting: true,
  };
}

/** Say a duration (RFC 5545, 3.3.6) as one before something is due. @param {string} lead */
export function leadLabel(lead) {
  const found = /^P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$/.exec(lead);
  const units = ["week", "day", "hour", "minute", "second"];
  const parts = units.flatMap((unit, at) => {
    const count = Number(found?.[at + 1] ?? 0);
    return count > 0 ? [text.counted(count, unit)] : [];
  });
  return parts.length === 0 ? "When it is due" : `${new Intl.ListFormat("en", { type: "unit" }).format(parts)} before`;
}
