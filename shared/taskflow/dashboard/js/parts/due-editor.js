/**
 * When a task is due: by a word, in words, or on the calendar, and at a time of the day or at none.
 *
 * @import { Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import * as changes from "../changes.js";
import {
  addDays, addMonths, dayOf, dueAt, dueLabel, firstWeekday, isWholeDay, monthLabel, timeOf, today, nameOfWeekday, weekdayOf, daysAfterMonday, wholeDay,
} from "../dates.js";
import { now, update } from "../update.js";
import { icon } from "./icons.js";
import { understood } from "./words.js";

const WEEKS = 6;
const ASK_AFTER_MS = 120;

/** How far each key goes on the calendar, in days; those with months are for themselves. @type {Record<string, number>} */
const STEPS = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };

export class DueEditor {
  /** The task as it was when the editor was opened; null while it is closed. @type {Task | null} */
  seen = null;

  /** The day of the calendar that a key would move from. */
  #at = today();

  #words = "";

  /** @type {{ of: string, due: string | null } | null} */
  #read = null;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @param {Task} task */
  open(task) {
    this.seen = task;
    this.#at = task.due_date === null ? today() : dayOf(new Date(task.due_date));
    this.#words = "";
    this.#read = null;
    now();
    // On a phone the keyboard would lie over the calendar.
    const first = matchMedia("(pointer: coarse)").matches ? ".day[tabindex='0']" : "[name=words]";
    /** @type {HTMLElement | null} */ (document.querySelector(`.due-editor ${first}`))?.focus();
  }

  close() {
    this.seen = null;
    now();
    /** @type {HTMLElement | null} */ (document.querySelector(".due-button"))?.focus();
  }

  /** @param {Task} task */
  render(task) {
    const { due_date: due } = task;
    const isOverdue = due !== null && !task.completed && Date.parse(due) < Date.now();
    return html`<button
        type="button"
        class="quiet value due-button ${isOverdue ? "is-overdue" : ""} ${due === null ? "is-empty" : ""}"
        aria-label=${`Due date: ${due === null ? "none" : dueLabel(due)}`}
        aria-expanded=${this.seen !== null}
        @click=${() => (this.seen ? this.close() : this.open(task))}
      >
        ${due === null ? "Add a due date" : dueLabel(due)}${isOverdue ? html` <small>overdue</small>` : nothing}
      </button>
      ${this.seen ? this.#editor(task) : nothing}`;
  }

  /** @param {Task} task */
  #editor(task) {
    const day = task.due_date === null ? null : dayOf(new Date(task.due_date));
    return html`<div class="editor due-editor" role="group" aria-label="Due date" @keydown=${(/** @type {KeyboardEvent} */ event) => this.#key(event)}>
      <input
        name="words"
        autocomplete="off"
        dir="auto"
        placeholder="friday 9:00, in two weeks, 24 Dec…"
        aria-label="In your words"
        aria-describedby="due-read"
        .value=${this.#words}
        @input=${(/** @type {InputEvent} */ event) => this.#input(event)}
        @keydown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && !event.isComposing && void this.#takeWords(event)}
      >
      <p class="read" id="due-read" role="status">${this.#said()}</p>
      <div class="picks">
        ${this.#picks().map(([label, value]) => html`<button type="button" title=${wholeDay(value)} @click=${() => this.#take(this.#on(value))}>${label}</button>`)}
        ${task.due_date === null ? nothing : html`<button type="button" @click=${() => this.#take(null)}>No date</button>`}
      </div>
      ${this.#calendar(day)}
      <label class="beside">
        <span>Time</span>
        <input type="time" name="time" .value=${timeShown(task)} @blur=${(/** @type {FocusEvent} */ event) => this.#takeTime(event, task)}
          @keydown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && this.#takeTime(event, task)}>
      </label>
    </div>`;
  }

  #said() {
    if (this.#words.trim() === "") {
      return "Type it, or choose below.";
    }
    if (this.#read?.of !== this.#words) {
      return "…";
    }
    return this.#read.due === null ? "That is not understood as a date." : html`<kbd>Enter</kbd> ${dueLabel(this.#read.due)}`;
  }

  /** @returns {[string, string][]} */
  #picks() {
    const day = today();
    return [
      ["Today", day],
      ["Tomorrow", addDays(day, 1)],
      ["Saturday", addDays(day, (5 - daysAfterMonday(day) + 7) % 7 || 7)],
      ["Next week", addDays(day, 7 - daysAfterMonday(day))],
    ];
  }

  /** @param {string | null} chosen */
  #calendar(chosen) {
    const first = `${this.#at.slice(0, 7)}-01`;
    const begins = addDays(first, -((daysAfterMonday(first) - firstWeekday() + 7) % 7));
    const rows = Array.from({ length: WEEKS }, (_, row) => Array.from({ length: 7 }, (_, column) => addDays(begins, row * 7 + column)));
    return html`<div class="calendar">
      <div class="calendar-head">
        <button type="button" class="quiet round" aria-label="The month before" @click=${() => this.#move(addMonths(this.#at, -1), false)}>
          <span class="turned">${icon("chevron")}</span>
        </button>
        <strong aria-live="polite">${monthLabel(first)}</strong>
        <button type="button" class="quiet round" aria-label="The next month" @click=${() => this.#move(addMonths(this.#at, 1), false)}>
          <span class="pointing">${icon("chevron")}</span>
        </button>
      </div>
      <table role="grid" aria-label=${monthLabel(first)}>
        <thead>
          <tr>${rows[0]?.map((day) => html`<th scope="col"><span aria-hidden="true">${nameOfWeekday(weekdayOf(day), "narrow")}</span><span class="only-read">${nameOfWeekday(weekdayOf(day), "long")}</span></th>`)}</tr>
        </thead>
        <tbody>
          ${rows.map((row) => html`<tr>${row.map((day) => this.#day(day, chosen))}</tr>`)}
        </tbody>
      </table>
    </div>`;
  }

  /** @param {string} day @param {string | null} chosen */
  #day(day, chosen) {
    const isOther = day.slice(0, 7) !== this.#at.slice(0, 7);
    return html`<td role="gridcell" aria-selected=${day === chosen ? "true" : "false"}>
      <button
        type="button"
        class="day ${isOther ? "is-other" : ""}"
        data-day=${day}
        aria-label=${wholeDay(day)}
        aria-current=${day === today() ? "date" : nothing}
        tabindex=${day === this.#at ? 0 : -1}
        @click=${() => this.#take(this.#on(day))}
      >
        ${Number(day.slice(8))}
      </button>
    </td>`;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === "Escape") {
      event.preventDefault();
      this.close();
      return;
    }
    if (!(event.target instanceof Element) || !event.target.matches(".day")) {
      return;
    }
    const isRtl = getComputedStyle(event.target).direction === "rtl" && /Left|Right/.test(event.key);
    const step = STEPS[event.key];
    const months = { PageUp: -1, PageDown: 1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      this.#move(addDays(this.#at, isRtl ? -step : step), true);
    } else if (months !== undefined) {
      event.preventDefault();
      this.#move(addMonths(this.#at, event.shiftKey ? months * 12 : months), true);
    } else if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      const begin = (daysAfterMonday(this.#at) - firstWeekday() + 7) % 7;
      this.#move(addDays(this.#at, event.key === "Home" ? -begin : 6 - begin), true);
    }
  }

  /** @param {string} day @param {boolean} hasFocus */
  #move(day, hasFocus) {
    this.#at = day;
    now();
    if (hasFocus) {
      /** @type {HTMLElement | null} */ (document.querySelector(`.due-editor [data-day="${day}"]`))?.focus();
    }
  }

  /** @param {InputEvent} event */
  #input(event) {
    this.#words = /** @type {HTMLInputElement} */ (event.target).value;
    clearTimeout(this.#timer);
    const asked = this.#words;
    if (asked.trim() !== "") {
      this.#timer = setTimeout(() => void this.#ask(asked), ASK_AFTER_MS);
    }
    update();
  }

  /** @param {string} words */
  async #ask(words) {
    const due = await understood(words).then((task) => task?.due_date ?? null, () => null);
    if (words === this.#words) {
      this.#read = { of: words, due };
      update();
    }
  }

  /** @param {KeyboardEvent} event */
  async #takeWords(event) {
    event.preventDefault();
    if (this.#words.trim() === "") {
      this.close();
      return;
    }
    if (this.#read?.of !== this.#words) {
      await this.#ask(this.#words);
    }
    if (this.#read?.due) {
      this.#take(this.#read.due);
    }
  }

  /** Return a day at the time that stands beside it. @param {string} day */
  #on(day) {
    const time = /** @type {HTMLInputElement | null} */ (document.querySelector(".due-editor [name=time]"));
    return dueAt(day, time?.value || undefined);
  }

  /** @param {Event} event @param {Task} task */
  #takeTime(event, task) {
    const time = /** @type {HTMLInputElement} */ (event.target).value;
    if (time !== timeShown(task) && this.seen) {
      const day = task.due_date === null ? this.#at : dayOf(new Date(task.due_date));
      const seen = this.seen;
      const due = dueAt(day, time || undefined);
      void changes.edit(seen, { due_date: due }, `Due ${dueLabel(due)}`);
      this.seen = { ...seen, due_date: due };
    }
  }

  /** @param {string | null} due */
  #take(due) {
    const seen = this.seen;
    this.close();
    if (seen && due !== seen.due_date) {
      void changes.edit(seen, { due_date: due }, due === null ? "No due date" : `Due ${dueLabel(due)}`);
    }
  }
}

/** Return the time of day that a task is due, empty where it is due at none. @param {Task} task */
function timeShown({ due_date: due }) {
  return due === null || isWholeDay(due) ? "" : timeOf(new Date(due));
}
