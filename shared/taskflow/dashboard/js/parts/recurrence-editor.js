/**
 * How a task repeats: built by choosing, or written as a rule; what comes of it is shown before it is set.
 *
 * @import { Plan } from "../recurrence.js"
 * @import { Previewed, Series, Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { live } from "../../vendor/directives/live.js";
import { Problem } from "../api.js";
import * as changes from "../changes.js";
import * as conflicts from "../conflicts.js";
import { dayOf, dueLabel, monthName, nameOfWeekday, timeLabel, userZone, weekdayOf, wholeDay, wholeTime } from "../dates.js";
import { firstPlan, weekdayLabel, ordinal, PLACES, planOf, ruleOf, startOf, UNITS, WEEKDAYS, WORKDAY } from "../recurrence.js";
import { inWords } from "../rules.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { now, update } from "../update.js";
import { understood } from "./words.js";

const PREVIEWED = 5;
const ASK_AFTER_MS = 150;
const INTERVAL_MAX = 999;
const SHORT_MONTH_DAYS = 28;

/** What the API takes beside the rule. @typedef {Pick<Series, "mode" | "missed" | "skip" | "timezone">} Terms */

/** @type {Terms} */
const USUAL = { mode: "schedule", missed: "all", skip: "backward", timezone: null };

export class RecurrenceEditor {
  /** The task as it was when the editor was opened; null while it is closed. @type {Task | null} */
  #seen = null;

  #rule = "";

  /** @type {Terms} */
  #terms = USUAL;

  #words = "";
  #isWordsUnknown = false;

  /** @type {Previewed[] | null} */
  #next = null;

  /** What the API says of each field. @type {Record<string, string>} */
  #errors = {};

  #isBusy = false;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /** @type {AbortController | null} */
  #asking = null;

  /** The series as it is, where it was asked for. @type {Series | null} */
  #series = null;

  /** @param {Task} task */
  async open(task) {
    this.#seen = task;
    this.#rule = task.recurrence_rule ?? ruleOf(firstPlan(this.#startDay()));
    this.#terms = USUAL;
    this.#words = "";
    this.#isWordsUnknown = false;
    this.#errors = {};
    this.#next = null;
    now();
    /** @type {HTMLElement | null} */ (document.querySelector(".recurrence-editor select"))?.focus();
    this.#ask();
    if (task.is_recurring && !task.is_draft) {
      try {
        const { body } = await session.request("GET", `tasks/${store.idOf(task.id)}/recurrence`);
        const { mode, missed, skip, timezone, recurrence_rule: rule } = /** @type {Series} */ (body);
        this.#series = body;
        this.#terms = { mode, missed, skip, timezone };
        this.#rule = rule;
        this.#ask();
      } catch (error) {
        // Without a network it is shown as far as the task itself says.
        if (error instanceof Problem && error.status !== 404) {
          this.#errors = { "": error.message };
        }
      }
      update();
    }
  }

  close() {
    this.#seen = null;
    this.#asking?.abort();
    clearTimeout(this.#timer);
    now();
    /** @type {HTMLElement | null} */ (document.querySelector(".recurrence-button"))?.focus();
  }

  /** @param {Task} task */
  render(task) {
    const rule = task.recurrence_rule;
    const label = rule ? inWords(rule) : "Does not repeat";
    return html`<button
        type="button"
        class="quiet value recurrence-button ${rule ? "" : "is-empty"}"
        aria-label=${`Repetition: ${label}`}
        aria-expanded=${this.#seen !== null}
        @click=${() => (this.#seen ? this.close() : void this.open(task))}
      >
        ${label}
      </button>
      ${rule && task.next_occurrence && !this.#seen
        ? html`<p class="below">Next on <time datetime=${task.next_occurrence} title=${wholeTime(task.next_occurrence)}>${dueLabel(task.next_occurrence)}</time></p>`
        : nothing}
      ${this.#seen ? this.#editor() : nothing}`;
  }

  #editor() {
    const plan = planOf(this.#rule, this.#startDay());
    const due = this.#seen?.due_date ?? null;
    return html`<form
      class="editor recurrence-editor"
      aria-label="Repetition"
      @submit=${(/** @type {SubmitEvent} */ event) => void this.#save(event)}
      @keydown=${(/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Escape") {
          event.preventDefault();
          this.close();
        }
      }}
    >
      <label>
        <span>In your words</span>
        <input name="words" autocomplete="off" dir="auto" placeholder="every other friday, every last day of the month…" .value=${this.#words}
          aria-describedby=${this.#isWordsUnknown ? "words-unknown" : nothing}
          @input=${(/** @type {InputEvent} */ event) => this.#readWords(event)}>
        ${this.#isWordsUnknown ? html`<small id="words-unknown" role="status">That is not understood as a repetition.</small>` : nothing}
      </label>
      ${plan ? this.#builder(plan) : html`<p class="muted">This rule says more than can be chosen here; it is below.</p>`}
      ${this.#starts(due)} ${this.#preview()}
      <fieldset class="modes">
        <legend>The next one counts from</legend>
        ${this.#mode("schedule", "the calendar", "whether this one is done or not")}
        ${this.#mode("after_completion", "when it is completed", "“every 3 days after I last did it”")}
      </fieldset>
      <details class="expert" ?open=${!plan || "/recurrence_rule" in this.#errors}>
        <summary>As a rule (RFC 5545)</summary>
        <label>
          <span>Rule</span>
          <input
            name="rule"
            autocomplete="off"
            autocapitalize="characters"
            spellcheck="false"
            dir="ltr"
            maxlength="255"
            aria-invalid=${"/recurrence_rule" in this.#errors ? "true" : "false"}
            aria-describedby="rule-error"
            .value=${live(this.#rule)}
            @input=${(/** @type {InputEvent} */ event) => this.#change(/** @type {HTMLInputElement} */ (event.target).value)}
          >
        </label>
        ${this.#error("/recurrence_rule", "rule-error")}
        ${this.#choice("After an outage", "missed", { all: "make up for all that was missed", latest: "make up for the latest", skip: "make up for none" })}
      </details>
      ${Object.entries(this.#errors).map(([pointer, said]) => (pointer === "/recurrence_rule" ? nothing : html`<p class="error" role="alert">${said}</p>`))}
      <div class="dialog-actions">
        ${this.#seen?.recurrence_rule
          ? html`<button type="button" class="quiet danger" @click=${() => void this.#remove()}>Stop repeating</button>`
          : nothing}
        <span class="spring"></span>
        <button type="button" class="quiet" @click=${() => this.close()}>Cancel</button>
        <button type="submit" class="primary" ?disabled=${this.#isBusy || "/recurrence_rule" in this.#errors}>Save</button>
      </div>
    </form>`;
  }

  /** @param {Plan} plan */
  #builder(plan) {
    const { frequency, interval, weekdays, by, day, place, weekday, month } = plan;
    const change = (/** @type {Partial<Plan>} */ fields) => this.#change(ruleOf({ ...plan, ...fields }));
    return html`<div class="line">
        <span id="every">Every</span>
        <input type="number" class="short" aria-label="Every how many" min="1" max=${INTERVAL_MAX} required .value=${String(interval)}
          @change=${(/** @type {Event} */ event) => change({ interval: numberIn(event, INTERVAL_MAX) })}>
        <select aria-label="Days, weeks, months or years" @change=${(/** @type {Event} */ event) => change({ frequency: /** @type {Plan["frequency"]} */ (valueIn(event)) })}>
          ${Object.entries(UNITS).map(([value, [one, several]]) => html`<option value=${value} ?selected=${value === frequency}>${interval === 1 ? one : several}</option>`)}
        </select>
      </div>
      ${frequency === "WEEKLY"
        ? html`<div class="weekdays" role="group" aria-label="On">
            ${WEEKDAYS.map((each) => html`<button
                type="button"
                aria-pressed=${weekdays.includes(each) ? "true" : "false"}
                aria-label=${weekdayLabel(each)}
                title=${weekdayLabel(each)}
                @click=${() => change({ weekdays: toggled(weekdays, each) })}
              >${weekdayLabel(each).slice(0, 2)}</button>`)}
          </div>`
        : nothing}
      ${frequency === "MONTHLY" || frequency === "YEARLY"
        ? html`<div class="line">
            <span>on</span>
            <select aria-label="On a day or a weekday" @change=${(/** @type {Event} */ event) => change({ by: /** @type {Plan["by"]} */ (valueIn(event)) })}>
              <option value="day" ?selected=${by === "day"}>day</option>
              <option value="weekday" ?selected=${by === "weekday"}>the</option>
            </select>
            ${by === "day"
              ? html`<select aria-label="Day of the month" @change=${(/** @type {Event} */ event) => change({ day: Number(valueIn(event)) })}>
                  ${Array.from({ length: 31 }, (_, at) => html`<option value=${at + 1} ?selected=${day === at + 1}>${at + 1}</option>`)}
                  <option value="-1" ?selected=${day === -1}>last</option>
                </select>`
              : html`<select aria-label="Which one" @change=${(/** @type {Event} */ event) => change({ place: Number(valueIn(event)) })}>
                    ${[1, 2, 3, 4, -1].map((each) => html`<option value=${each} ?selected=${place === each}>${PLACES[each]}</option>`)}
                  </select>
                  <select aria-label="Weekday" @change=${(/** @type {Event} */ event) => change({ weekday: valueIn(event) })}>
                    ${[...WEEKDAYS, WORKDAY].map((each) => html`<option value=${each} ?selected=${weekday === each}>${weekdayLabel(each)}</option>`)}
                  </select>`}
            ${frequency === "YEARLY"
              ? html`<span>of</span>
                  <select aria-label="Month" @change=${(/** @type {Event} */ event) => change({ month: Number(valueIn(event)) })}>
                    ${Array.from({ length: 12 }, (_, at) => html`<option value=${at + 1} ?selected=${month === at + 1}>${monthName(at + 1)}</option>`)}
                  </select>`
              : nothing}
          </div>
          ${by === "day" && day > SHORT_MONTH_DAYS
            ? this.#choice(`Where there is no ${ordinal(day)}`, "skip", { backward: "on the last day of the month", forward: "on the first of the next", omit: "not at all" })
            : nothing}`
        : nothing}
      ${this.#ends(plan, change)}`;
  }

  /** @param {Plan} plan @param {(fields: Partial<Plan>) => void} change */
  #ends({ ends, until, count }, change) {
    return html`<div class="line">
      <span>Ends</span>
      <select aria-label="Ends" @change=${(/** @type {Event} */ event) => change({ ends: /** @type {Plan["ends"]} */ (valueIn(event)) })}>
        <option value="never" ?selected=${ends === "never"}>never</option>
        <option value="until" ?selected=${ends === "until"}>on a day</option>
        <option value="count" ?selected=${ends === "count"}>after a number</option>
      </select>
      ${ends === "until"
        ? html`<input type="date" aria-label="Last day" required .value=${until}
            @change=${(/** @type {Event} */ event) => valueIn(event) && change({ until: valueIn(event) })}>`
        : nothing}
      ${ends === "count"
        ? html`<input type="number" class="short" aria-label="How many times" min="1" max="9999" required .value=${String(count)}
              @change=${(/** @type {Event} */ event) => change({ count: numberIn(event, 9999) })}>
            <span>times</span>`
        : nothing}
    </div>`;
  }

  /** Say with what the series begins, where that is no matter of course. @param {string | null} due */
  #starts(due) {
    if (due === null) {
      return html`<p class="muted">Without a due date it begins today at ${timeLabel(new Date(startOf(null)))}.</p>`;
    }
    const isMoved = this.#series !== null && Date.parse(this.#series.start) !== Date.parse(due);
    return isMoved ? html`<p class="muted">The series keeps its own dates. Saving begins it anew, with ${dueLabel(due)}.</p>` : nothing;
  }

  /** @param {Terms["mode"]} mode @param {string} label @param {string} hint */
  #mode(mode, label, hint) {
    return html`<label class="radio"><input type="radio" name="mode" .checked=${live(this.#terms.mode === mode)} @change=${() => this.#changeTerms({ mode })}>
      <span>${label} <small>${hint}</small></span></label>`;
  }

  /** @param {string} label @param {"missed" | "skip"} name @param {Record<string, string>} choices */
  #choice(label, name, choices) {
    return html`<label>
      <span>${label}</span>
      <select @change=${(/** @type {Event} */ event) => this.#changeTerms({ [name]: valueIn(event) })}>
        ${Object.entries(choices).map(([value, shown]) => html`<option value=${value} ?selected=${this.#terms[name] === value}>${shown}</option>`)}
      </select>
    </label>`;
  }

  /** @param {string} pointer @param {string} id */
  #error(pointer, id) {
    return html`<p class="error" id=${id} role="alert">${this.#errors[pointer] ?? nothing}</p>`;
  }

  #preview() {
    return html`<div class="preview" aria-live="polite">
      <p><strong>${inWords(this.#rule)}</strong></p>
      ${this.#terms.mode === "after_completion" ? html`<p class="muted">If each one is completed on its day:</p>` : nothing}
      ${this.#next === null
        ? nothing
        : html`<ol>${this.#next.map((each) => html`<li class=${each.fate}>${occurrence(each)}</li>`)}</ol>`}
      <p class="muted"><small>Times of ${this.#terms.timezone ?? userZone()}</small></p>
    </div>`;
  }

  #startDay() {
    return dayOf(new Date(startOf(this.#seen?.due_date ?? null)));
  }

  /** @param {string} rule */
  #change(rule) {
    this.#rule = rule;
    this.#ask();
    update();
  }

  /** @param {Partial<Terms>} terms */
  #changeTerms(terms) {
    this.#terms = { ...this.#terms, ...terms };
    this.#ask();
    update();
  }

  /** @param {InputEvent} event */
  #readWords(event) {
    this.#words = /** @type {HTMLInputElement} */ (event.target).value;
    this.#isWordsUnknown = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      const words = this.#words;
      const task = await understood(words).catch(() => null);
      if (words !== this.#words || words.trim() === "") {
        return;
      }
      this.#isWordsUnknown = !task?.recurrence_rule;
      if (task?.recurrence_rule) {
        this.#change(task.recurrence_rule);
      }
      update();
    }, ASK_AFTER_MS);
  }

  /** What the API is asked, and told. */
  #draft() {
    return { recurrence_rule: this.#rule.trim(), start: startOf(this.#seen?.due_date ?? null), ...this.#terms };
  }

  /** Have the next occurrences shown, once nobody chooses for a moment. */
  #ask() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#askNow(), ASK_AFTER_MS);
  }

  async #askNow() {
    this.#asking?.abort();
    this.#asking = new AbortController();
    const { signal } = this.#asking;
    try {
      const { body } = await session.request("POST", "recurrence/preview", { body: { ...this.#draft(), limit: PREVIEWED }, signal });
      this.#next = body.items;
      this.#errors = {};
    } catch (error) {
      if (signal.aborted) {
        return;
      }
      this.#next = null;
      this.#errors = error instanceof Problem ? errorsOf(error) : {};
    }
    update();
  }

  /** @param {SubmitEvent} event */
  async #save(event) {
    event.preventDefault();
    const seen = this.#seen;
    if (!seen) {
      return;
    }
    const wanted = this.#draft();
    this.#isBusy = true;
    update();
    try {
      const before = await seriesOf(seen);
      const saving = set(seen, wanted, changes.tagOf(seen));
      this.close();
      await saving;
      changes.undoable(inWords(wanted.recurrence_rule), () => (before ? set(seen, before, null) : unset(seen)));
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      if (!conflicts.isOne(error)) {
        // What was chosen is still there.
        this.#seen = seen;
        this.#errors = errorsOf(error);
      }
    } finally {
      this.#isBusy = false;
      update();
    }
  }

  async #remove() {
    const seen = this.#seen;
    if (seen) {
      const before = await seriesOf(seen);
      this.close();
      changes.undoable(`“${text.shortened(seen.title)}” repeats no more`, async () => {
        if (before) {
          await set(seen, before, null);
        }
      });
      try {
        await unset(seen);
      } catch (error) {
        if (!(error instanceof Problem)) {
          throw error;
        }
        await this.open(seen);
        this.#errors = errorsOf(error);
        update();
      }
    }
  }
}

/** @param {Task} task @param {Record<string, unknown> & { recurrence_rule: string }} wanted @param {string | null} if_match */
async function set(task, wanted, if_match) {
  await changes.make({
    method: "POST",
    path: "tasks/{task_id}/recurrence",
    body: wanted,
    task_id: task.id,
    becomes: { recurrence_rule: wanted.recurrence_rule, is_recurring: true },
    before: { recurrence_rule: task.recurrence_rule },
    if_match,
  });
  await readAgain(task.id);
}

/** @param {Task} task */
async function unset(task) {
  await changes.make({
    method: "DELETE",
    path: "tasks/{task_id}/recurrence",
    body: null,
    task_id: task.id,
    becomes: { recurrence_rule: null, is_recurring: false, next_occurrence: null },
  });
  await readAgain(task.id);
}

/** The answer is the series, and not the task that has become of it. @param {string} id */
async function readAgain(id) {
  try {
    const { body } = await session.request("GET", `tasks/${store.idOf(id)}`);
    store.put(body);
  } catch {
    // The stream says it too.
  }
}

/** Return the series of a task as it can be set again; null where there is none, or it can't be had. @param {Task} task */
async function seriesOf(task) {
  if (!task.recurrence_rule) {
    return null;
  }
  const usual = { recurrence_rule: task.recurrence_rule, start: startOf(task.due_date), ...USUAL };
  try {
    const { body } = await session.request("GET", `tasks/${store.idOf(task.id)}/recurrence`);
    const { recurrence_rule, start, mode, missed, skip, timezone } = /** @type {Series} */ (body);
    return { recurrence_rule, start, mode, missed, skip, timezone };
  } catch {
    return usual;
  }
}

/** @param {Previewed} each */
function occurrence({ utc, local, fate, reason }) {
  if (utc === null) {
    return html`<s>${local ? wholeDay(local.slice(0, 10)) : "One"}</s> <small>${fate}: ${reason}</small>`;
  }
  const day = dayOf(new Date(utc));
  return html`<time datetime=${utc} title=${wholeTime(utc)}><span class="weekday">${nameOfWeekday(weekdayOf(day), "short")}</span> ${dueLabel(utc)}</time>
    ${fate === "kept" ? nothing : html`<small>${fate}: ${reason}</small>`}`;
}

/** @param {Problem} problem @returns {Record<string, string>} */
function errorsOf(problem) {
  return problem.errors.length === 0
    ? { "": problem.message }
    : Object.fromEntries(problem.errors.map(({ pointer, detail }) => [pointer, detail]));
}

/** @param {string[]} weekdays @param {string} weekday */
function toggled(weekdays, weekday) {
  const others = weekdays.filter((each) => each !== weekday);
  return others.length === weekdays.length ? [...weekdays, weekday] : others.length > 0 ? others : weekdays;
}

/** @param {Event} event */
function valueIn(event) {
  return /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;
}

/** @param {Event} event @param {number} most */
function numberIn(event, most) {
  return Math.min(most, Math.max(1, Math.trunc(Number(valueIn(event))) || 1));
}
