/**
 * The box in which a task is written in one's own words; what is understood of them is marked.
 *
 * @import { Preview, Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { ref } from "../../vendor/directives/ref.js";
import { Problem } from "../api.js";
import * as changes from "../changes.js";
import { dueLabel } from "../dates.js";
import { router } from "../router.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { say } from "../toasts.js";
import { update } from "../update.js";
import { closeButton, closeDialog, openDialog } from "./dialog.js";
import { icon } from "./icons.js";

const LINE_MAX_CHARS = 1000;
const PREVIEW_AFTER_MS = 60;
const PREVIEW_TIMEOUT_MS = 2_000;
const KEPT = "taskflow.line";

/** What counts where a line says nothing of its kind, in the words of the API. @typedef {{ words: string, becomes: () => Partial<Task> }} Default */

let line = "";
let error = "";
let isOpen = false;

/** @type {Default | null} */
let usual = null;

/** @type {{ of: string, preview: Preview } | null} */
let understood = null;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** @type {AbortController | null} */
let asking = null;

/** The default of the view that is shown. @type {() => Default | null} */
let usualHere = () => null;

/** Have tasks that are written here get something by default. @param {() => Default | null} given */
export function usually(given) {
  usualHere = given;
}

/** Open the box; with what was typed before, if it was not sent. @param {Default | Event} [here] what counts by default, if not what the view says */
export function openQuickAdd(here) {
  usual = here && "words" in here ? here : usualHere();
  error = "";
  openDialog({ label: "Add a task", kind: "quick-add", render, closed });
  isOpen = true;
  ask();
}

function closed() {
  isOpen = false;
  stopAsking();
}

/** Keep what is typed for the page that comes next in this tab, or for who signs in again. */
export function keepLine() {
  if (line.trim() === "") {
    sessionStorage.removeItem(KEPT);
  } else {
    sessionStorage.setItem(KEPT, JSON.stringify({ of: session.user?.id, line, isOpen }));
  }
}

/** Go on with what was typed here before, if that was the same user. */
export function takeUpLine() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  sessionStorage.removeItem(KEPT);
  if (kept.of === session.user?.id) {
    line = kept.line;
    if (kept.isOpen) {
      openQuickAdd();
    }
  }
}

/** Forget what was typed, for the user has signed out. */
export function forgetLine() {
  line = "";
  understood = null;
  keepLine();
}

function render() {
  const task = understood?.preview.task;
  return html`<form @submit=${submit}>
    <div class="quick-line">
      <div class="quick-marks" aria-hidden="true" dir="auto">${marks()}</div>
      <textarea
        rows="1"
        maxlength=${LINE_MAX_CHARS}
        dir="auto"
        aria-label="What is to be done"
        aria-describedby="quick-understood"
        placeholder="Pay rent tomorrow 9:00 every month #home"
        autocapitalize="sentences"
        enterkeyhint="done"
        autofocus
        .value=${line}
        @input=${typed}
        @keydown=${enter}
        @scroll=${scrollMarks}
        ${ref(focusAtEnd)}
      ></textarea>
    </div>
    <p class="quick-understood" id="quick-understood" aria-live="polite">${task ? summary(task) : hint()}</p>
    ${error ? html`<p class="error" role="alert">${error}</p>` : nothing}
    <div class="dialog-actions">
      ${closeButton()}
      <span class="spring"></span>
      <span class="key-hint"><kbd>Shift</kbd> <kbd>Enter</kbd> adds and stays</span>
      <button type="submit" class="primary" ?disabled=${line.trim() === ""}>Add task</button>
    </div>
  </form>`;
}

function hint() {
  return html`<span class="muted">Dates, times, repetitions, #tags, !priorities and “remind 1h before” are understood.</span>`;
}

/** @param {Preview["task"]} task */
function summary(task) {
  const due = task.due_date;
  const defaults = understood?.preview.default_kinds ?? [];
  return html`
    ${due ? html`<span class="chip" data-kind="date">${icon("calendar")}${dueLabel(due)}${defaults.includes("date") ? forget(dueLabel(due)) : nothing}</span>` : nothing}
    ${task.recurrence_rule ? html`<span class="chip" data-kind="recurrence">${icon("repeat")}Repeats</span>` : nothing}
    ${task.priority === "medium" ? nothing : html`<span class="chip" data-kind="priority">${icon("flag")}${text.PRIORITIES[task.priority]}</span>`}
    ${task.tags.map((tag) => html`<span class="chip" data-kind="tag" dir="auto">${icon("tag")}${tag}${defaults.includes("tag") ? forget(tag) : nothing}</span>`)}
    ${task.reminders?.length ? html`<span class="chip" data-kind="reminder">${icon("bell")}${text.counted(task.reminders.length, "reminder")}</span>` : nothing}
  `;
}

/** @param {string} label */
function forget(label) {
  return html`<button type="button" aria-label=${`Not ${label}`} @click=${forgetUsual}>${icon("close")}</button>`;
}

function forgetUsual() {
  usual = null;
  field()?.focus();
  void preview(line);
}

/** Return the parts that still are where they were as the line was understood. */
function parts() {
  if (!understood) {
    return [];
  }
  const { of, preview } = understood;
  let same = 0;
  while (same < of.length && of[same] === line[same]) {
    same += 1;
  }
  return preview.parts.filter((part) => part.end <= same);
}

function marks() {
  let at = 0;
  const shown = parts().map((part) => {
    const before = line.slice(at, part.start);
    at = part.end;
    return html`${before}<mark data-kind=${part.kind}>${line.slice(part.start, part.end)}</mark>`;
  });
  // A line break at the end has a line only if something follows.
  return html`${shown}${line.slice(at)}${"\u200b"}`;
}

/** @param {InputEvent} event */
function typed(event) {
  const area = /** @type {HTMLTextAreaElement} */ (event.target);
  // One task is one line; what is pasted may be more.
  line = area.value.replace(/\s*\n\s*/g, " ");
  error = "";
  update();
  ask();
}

/** @param {KeyboardEvent} event */
function enter(event) {
  if (event.key === "Enter" && !event.isComposing) {
    event.preventDefault();
    void add(event.shiftKey);
  }
}

/** @param {SubmitEvent} event */
function submit(event) {
  event.preventDefault();
  void add(false);
}

/** Add the task; the box stays open with `isStaying`, and where it is refused. @param {boolean} isStaying */
async function add(isStaying) {
  const written = line.trim();
  if (written === "") {
    return;
  }
  // Who types fast is ahead of what is understood.
  const shown =
    understood?.of.trim() === written
      ? shownOf(understood.preview.task)
      : { title: written, ...usual?.becomes() };
  const [sent, given] = [lineOf(written), usual];
  line = "";
  understood = null;
  stopAsking();
  update();
  if (!isStaying) {
    closeDialog();
  }
  try {
    const task = await changes.quickAdd(sent, shown);
    if (task) {
      const when = task.due_date === null ? "" : dueLabel(task.due_date);
      say(text.added(task.title, when), { action: { label: "Open", run: () => router.go(`/tasks/${task.id}`) } });
    } else {
      say(text.kept(written));
    }
  } catch (refused) {
    if (!(refused instanceof Problem)) {
      throw refused;
    }
    giveBack(written, given, refused);
  }
}

/**
 * Put a line that was refused back to where it was written; where another is there, offer to.
 *
 * @param {string} written
 * @param {Default | null} given what counted by default
 * @param {Problem} refused
 */
function giveBack(written, given, refused) {
  const detail = refused.errors[0]?.detail ?? refused.message;
  const open = () => {
    line = written;
    openQuickAdd();
    usual = given;
    error = detail;
    update();
  };
  if (line === "" && document.querySelector("dialog") === null) {
    open();
  } else {
    say(text.notAdded(written, detail), { isError: true, isLasting: true, action: { label: "Change it", run: open } });
  }
}

changes.onLineRefused(({ text: written, default_text: words }, refused) =>
  giveBack(written, words === undefined ? null : { words, becomes: () => ({}) }, refused),
);

/** Return what the API is sent of a line. @param {string} written */
function lineOf(written) {
  return { text: written, ...(usual ? { default_text: usual.words } : {}) };
}

/** Return what a task that is not there yet shows. @param {Preview["task"]} task @returns {Partial<Task>} */
function shownOf(task) {
  const { title, due_date, priority, tags, recurrence_rule, is_recurring } = task;
  return { title, due_date, priority, tags, recurrence_rule, is_recurring };
}

/** Have the line understood, once nobody types for a moment. */
function ask() {
  clearTimeout(timer);
  const asked = line;
  if (asked.trim() === "") {
    stopAsking();
    understood = null;
    update();
    return;
  }
  timer = setTimeout(() => void preview(asked), PREVIEW_AFTER_MS);
}

/** @param {string} asked */
async function preview(asked) {
  asking?.abort();
  asking = new AbortController();
  const { signal } = asking;
  try {
    const options = { body: lineOf(asked), signal, timeoutMs: PREVIEW_TIMEOUT_MS };
    const { body } = await session.request("POST", "tasks/quick/preview", options);
    understood = { of: asked, preview: body };
  } catch (refused) {
    if (signal.aborted) {
      return;
    }
    // What can't be understood yet may be so with the next word; adding it says why not.
    understood = null;
    if (!(refused instanceof Error)) {
      throw refused;
    }
  }
  update();
}

function stopAsking() {
  clearTimeout(timer);
  asking?.abort();
  asking = null;
}

function field() {
  return /** @type {HTMLTextAreaElement | null} */ (document.querySelector(".quick-add textarea"));
}

/** @param {Event} event */
function scrollMarks(event) {
  const area = /** @type {HTMLTextAreaElement} */ (event.target);
  if (area.previousElementSibling) {
    area.previousElementSibling.scrollTop = area.scrollTop;
  }
}

/** @param {Element | undefined} element */
function focusAtEnd(element) {
  if (element instanceof HTMLTextAreaElement) {
    queueMicrotask(() => element.setSelectionRange(element.value.length, element.value.length));
  }
}
