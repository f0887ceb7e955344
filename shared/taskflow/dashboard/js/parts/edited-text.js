/**
 * A text of a task that is edited where it stands: saved as it is left, and never lost.
 *
 * What is typed is laid over what the server has, until it is saved; a change from elsewhere shows
 * at once where nobody has typed yet, and beside what is typed else.
 *
 * @import { Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { live } from "../../vendor/directives/live.js";
import { Problem } from "../api.js";
import * as changes from "../changes.js";
import * as conflicts from "../conflicts.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { say } from "../toasts.js";
import { update } from "../update.js";

/** @typedef {"title" | "description"} Field */

export class EditedText {
  /** What was typed and is not saved; null where nothing was. @type {string | null} */
  typed = null;

  /** The task as it was when this was begun. @type {Task | null} */
  #seen = null;

  #error = "";

  /**
   * @param {object} options
   * @param {string} options.taskId
   * @param {Field} options.field
   * @param {string} options.label
   * @param {number} options.maxChars
   * @param {string} [options.placeholder]
   * @param {boolean} [options.isLine] of one line: Enter saves it
   */
  constructor({ taskId, field, label, maxChars, placeholder = "", isLine = false }) {
    this.taskId = taskId;
    this.field = field;
    this.label = label;
    this.maxChars = maxChars;
    this.placeholder = placeholder;
    this.isLine = isLine;
  }

  /** @param {Task} task */
  render(task) {
    const { field } = this;
    const shown = this.#shown(task);
    const isOutdated = this.typed !== null && this.#seen !== null && task[field] !== this.#seen[field];
    return html`<div class="grow edited-${field}">
        <div class="grow-mirror" aria-hidden="true" dir="auto">${shown || this.placeholder}${"\u200b"}</div>
        <textarea
          rows="1"
          dir="auto"
          name=${field}
          aria-label=${this.label}
          aria-invalid=${this.#error ? "true" : "false"}
          aria-describedby=${this.#error ? `${field}-error` : nothing}
          maxlength=${this.maxChars}
          placeholder=${this.placeholder}
          autocapitalize="sentences"
          enterkeyhint=${this.isLine ? "done" : nothing}
          .value=${live(shown)}
          @input=${(/** @type {InputEvent} */ event) => this.#input(task, event)}
          @blur=${() => void this.save()}
          @keydown=${(/** @type {KeyboardEvent} */ event) => this.#key(event)}
        ></textarea>
      </div>
      ${this.#error ? html`<p class="error" role="alert" id=${`${field}-error`}>${this.#error}</p>` : nothing}
      ${isOutdated
        ? html`<p class="meanwhile" role="status">Changed elsewhere meanwhile, to <q dir="auto">${task[field] || "nothing"}</q> What you type is kept; you choose as you save it.</p>`
        : nothing}`;
  }

  /** Save what was typed, if anything was. */
  async save() {
    const { typed, field } = this;
    const seen = this.#seen;
    if (typed === null || seen === null) {
      return;
    }
    const wanted = this.isLine ? typed.trim() : typed.trim() === "" ? null : typed;
    if (this.isLine && wanted === "") {
      this.#error = "A task needs a title.";
      update();
      return;
    }
    this.typed = null;
    this.#error = "";
    const conflict = this.#conflict();
    if (conflict) {
      await conflicts.want(conflict, { [field]: wanted });
      return;
    }
    update();
    if (wanted === (seen[field] ?? null)) {
      return;
    }
    try {
      await changes.revise({ ...seen, id: store.idOf(seen.id) }, { [field]: wanted });
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      if (conflicts.isOne(error)) {
        return;
      }
      // It is typed still; who has gone elsewhere meanwhile is told.
      this.typed ??= typed;
      this.#error = error.errors[0]?.detail ?? error.message;
      if (!document.querySelector(`.task-panel [name="${field}"]`)) {
        say(text.refused(error), { isError: true });
      }
      update();
    }
  }

  /** @param {Task} task */
  #shown(task) {
    const wanted = this.#conflict()?.change.body?.[this.field];
    return this.typed ?? (wanted === undefined ? task[this.field] : /** @type {string | null} */ (wanted)) ?? "";
  }

  #conflict() {
    return conflicts.of(store.idOf(this.taskId)).find(({ fields }) => fields.includes(this.field));
  }

  /** @param {Task} task @param {InputEvent} event */
  #input(task, event) {
    const area = /** @type {HTMLTextAreaElement} */ (event.target);
    this.#seen = this.typed === null ? task : this.#seen;
    this.typed = this.isLine ? area.value.replace(/\s*\n\s*/g, " ") : area.value;
    this.#error = "";
    update();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.isComposing) {
      return;
    }
    const saves = event.key === "Enter" && (this.isLine || event.ctrlKey || event.metaKey);
    if (saves || event.key === "Escape") {
      event.preventDefault();
      // Leaving it saves it.
      /** @type {HTMLElement | null} */ (document.querySelector(".task-panel"))?.focus({ preventScroll: true });
    }
  }
}
