/**
 * What has become of a task, as a person reads it, the last of it first.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { HistoryEvent, Message, Page, Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { query } from "../api.js";
import { ago, dueLabel, wholeTime } from "../dates.js";
import { inWords } from "../rules.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { update } from "../update.js";
import { shown } from "./conflict.js";

const PAGE_EVENTS = 200;
const SHOWN_FIRST = 20;
const INLINE_MAX_CHARS = 80;

export class History {
  /** @type {Map<number, HistoryEvent>} */
  #events = new Map();

  /** @type {"new" | "loading" | "loaded"} */
  #state = "new";

  /** @type {Error | null} */
  #failed = null;

  #isWhole = false;

  /** @param {string} taskId */
  constructor(taskId) {
    this.taskId = taskId;
  }

  /** Load all of it; what happens from then on comes by the stream. */
  async load() {
    if (this.#state !== "new") {
      return;
    }
    this.#state = "loading";
    update();
    try {
      /** @type {string | null | undefined} */
      let cursor;
      do {
        const path = `tasks/${store.idOf(this.taskId)}/history${query({ limit: PAGE_EVENTS, cursor })}`;
        const { body } = await session.request("GET", path);
        const page = /** @type {Page<HistoryEvent>} */ (body);
        page.items.forEach((event) => this.#events.set(event.seq, event));
        cursor = page.next_cursor;
      } while (cursor);
      this.#state = "loaded";
      this.#failed = null;
    } catch (error) {
      this.#state = "new";
      this.#failed = /** @type {Error} */ (error);
    }
    update();
  }

  /** The task as its last event has it; undefined where there is none. @returns {Task | undefined} */
  get last() {
    const event = [...this.#events.values()].sort((one, other) => other.seq - one.seq)[0];
    return event && /** @type {Task} */ (event.data);
  }

  get failed() {
    return this.#failed;
  }

  /** Take a message of the stream. @param {Message} message */
  receive({ type, data, timestamp, seq, event_id }) {
    if (/^(task|recurrence|recurring)\./.test(type) && data["id"] === store.idOf(this.taskId)) {
      this.#events.set(seq, { event_id, event_type: type, timestamp, seq, data });
      update();
    }
  }

  render() {
    const events = [...this.#events.values()].sort((one, other) => other.seq - one.seq);
    const first = this.#isWhole ? events : events.slice(0, SHOWN_FIRST);
    return html`<details class="history" @toggle=${(/** @type {Event} */ event) => /** @type {HTMLDetailsElement} */ (event.target).open && void this.load()}>
      <summary>History</summary>
      ${this.#failed
        ? html`<p class="muted">${this.#failed.message} <button type="button" class="quiet" @click=${() => void this.load()}>Try again</button></p>`
        : nothing}
      ${this.#state === "loading" ? html`<p class="muted" role="status">Loading…</p>` : nothing}
      <ol>
        ${repeat(first, ({ seq }) => seq, (event) => html`<li>
          <div>${said(event)}</div>
          <time class="muted" datetime=${event.timestamp} title=${wholeTime(event.timestamp)}>${ago(event.timestamp)}</time>
        </li>`)}
      </ol>
      ${first.length < events.length
        ? html`<button type="button" class="quiet" @click=${() => {
            this.#isWhole = true;
            update();
          }}>Show ${text.counted(events.length - first.length, "older change")}</button>`
        : nothing}
    </details>`;
  }
}

/** Say an event. @param {HistoryEvent} event @returns {TemplateResult | string | (TemplateResult | string)[]} */
function said({ event_type: type, data }) {
  const changes = /** @type {Record<string, { old: any, new: any }>} */ (data["changes"] ?? {});
  switch (type) {
    case "task.created":
      return data["recurring_task_id"] ? "Created, as the next of its series" : "Created";
    case "task.completed":
      return "Completed";
    case "task.uncompleted":
      return "Opened again";
    case "task.deleted":
      return "Deleted";
    case "task.restored":
      return "Brought back";
    case "recurrence.set":
      return `Repeats: ${inWords(String(data["recurrence_rule"] ?? ""))}`;
    case "recurrence.removed":
      return "Repeats no more";
    case "recurring.spawned": {
      const { id, occurrence_at: at } = data["occurrence"] ?? {};
      return html`The next one was made: <a href=${`/tasks/${id}`}>${at ? dueLabel(at) : "open it"}</a>`;
    }
    default: {
      const sentences = Object.entries(changes).flatMap(([field, { old, new: changed }]) => changeSaid(/** @type {keyof Task} */ (field), old, changed));
      const by = type === "task.corrected" ? "Corrected by an administrator. " : "";
      return sentences.length === 0 ? by || "Changed" : sentences.map((sentence, at) => html`<p>${at === 0 ? by : ""}${sentence}</p>`);
    }
  }
}

/** @param {keyof Task} field @param {any} old @param {any} changed @returns {(TemplateResult | string)[]} */
function changeSaid(field, old, changed) {
  const label = text.FIELDS[field];
  if (label === undefined) {
    return [];
  }
  if (field === "tags") {
    const [before, after] = [/** @type {string[]} */ (old ?? []), /** @type {string[]} */ (changed ?? [])];
    const added = after.filter((tag) => !before.includes(tag)).map((tag) => html`Tag <q dir="auto">${tag}</q> added`);
    const removed = before.filter((tag) => !after.includes(tag)).map((tag) => html`Tag <q dir="auto">${tag}</q> removed`);
    return added.length + removed.length > 0 ? [...added, ...removed] : ["Tags put in another order"];
  }
  if (field === "metadata") {
    return ["Metadata changed"];
  }
  const isEmpty = (/** @type {unknown} */ value) => value === null || value === undefined || value === "";
  const lower = (/** @type {unknown} */ value) => (field === "priority" || field === "status" ? shown(field, value).toLowerCase() : shown(field, value));
  if (isEmpty(changed)) {
    return [`${label} removed`];
  }
  if (field === "description" || lower(old).length + lower(changed).length > INLINE_MAX_CHARS * 2) {
    const summary = isEmpty(old) ? `${label} added` : `${label} changed`;
    return [html`<details><summary>${summary}</summary>${isEmpty(old) ? nothing : html`<del dir="auto">${old}</del>`}<ins dir="auto">${changed}</ins></details>`];
  }
  const value = (/** @type {unknown} */ each) => (field === "title" ? html`<q dir="auto">${each}</q>` : html`<strong>${lower(each)}</strong>`);
  return isEmpty(old) ? [html`${label} set to ${value(changed)}`] : [html`${label} changed from ${value(old)} to ${value(changed)}`];
}
