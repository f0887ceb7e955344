/**
 * A task in a list: its circle to complete it, its title, and what is to be known at a glance.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import * as changes from "../changes.js";
import { dayOf, dueLabel, isWholeDay, timeLabel, today, wholeTime } from "../dates.js";
import { shortcut } from "../keyboard.js";
import { router } from "../router.js";
import { inWords } from "../rules.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { icon } from "./icons.js";
import { openMove } from "./move.js";
import { focusedId, keepingFocus, moveFocus, rowOf } from "./row-focus.js";

/** What a row says of its task: when it is due, when it was completed, or how it recurs. @typedef {"due" | "completed" | "recurrence"} Shows */

/**
 * @typedef {object} Where
 * @property {boolean} isDated whether the day is said above it
 * @property {number} position in its section
 * @property {number} count of the section
 * @property {Shows} shows
 * @property {boolean} isDrawn whether it can be drawn to elsewhere
 * @property {unknown} [title] with marks in it
 * @property {unknown} [detail] below the title
 */

/** @param {Task} task @param {Where} where @returns {TemplateResult} */
export function taskRow(task, where) {
  const { position, count } = where;
  const title = task.title === "" ? text.UNTITLED : task.title;
  return html`<li
    class="task ${task.completed ? "is-completed" : ""} ${task.is_draft ? "is-draft" : ""}"
    data-task=${task.id}
    data-priority=${task.priority}
    aria-setsize=${count}
    aria-posinset=${position}
    draggable=${where.isDrawn ? "true" : nothing}
  >
    <button
      type="button"
      class="check"
      role="checkbox"
      aria-checked=${task.completed ? "true" : "false"}
      aria-label=${`Complete: ${title}`}
      tabindex="-1"
      @click=${() => toggle(task.id)}
    >
      ${icon("check")}
    </button>
    <a class="task-link" href=${`/tasks/${task.id}`} draggable="false">
      <span class="task-title" dir="auto">${where.title ?? title}</span>
      ${where.detail ?? nothing} ${meta(task, where)}
    </a>
    <div class="task-actions">
      <button type="button" class="quiet round" tabindex="-1" aria-label=${`Move to another day: ${title}`} title="Move to another day (d)" @click=${() => openMove(task.id)}>
        ${icon("calendar")}
      </button>
      <button type="button" class="quiet round" tabindex="-1" title="Delete" aria-label=${`Delete: ${title}`} @click=${() => remove(task.id)}>
        ${icon("trash")}
      </button>
    </div>
  </li>`;
}

/** @param {Task} task @param {Where} where */
function meta(task, { isDated, shows }) {
  const due = task.due_date === null || shows !== "due" ? nothing : dueOf(task, task.due_date, isDated);
  const repeats = shows !== "recurrence" && (task.is_recurring || task.recurring_task_id !== null);
  const parts = [
    due,
    shows === "completed" && task.completed_at !== null ? completedOf(task.completed_at) : nothing,
    ...(shows === "recurrence" ? recurrenceOf(task) : []),
    repeats ? html`<span class="repeats" title="Repeats">${icon("repeat")}<span class="only-read">Repeats</span></span>` : nothing,
    task.priority === "high" || task.priority === "urgent"
      ? html`<span class="priority" data-priority=${task.priority}>${text.PRIORITIES[task.priority]}</span>`
      : nothing,
    ...task.tags.map((tag) => html`<span class="tag" dir="auto">${tag}</span>`),
    store.isWaiting(task.id) && task.is_draft ? html`<span class="waits">${icon("clock")}to be sent</span>` : nothing,
  ].filter((part) => part !== nothing);
  return parts.length === 0 ? nothing : html`<span class="task-meta">${parts}</span>`;
}

/** @param {string} at */
function completedOf(at) {
  return html`<time datetime=${at} title=${wholeTime(at)}>${icon("done")}${timeLabel(new Date(at))}</time>`;
}

/** @param {Task} task */
function recurrenceOf({ recurrence_rule: rule, next_occurrence: next }) {
  return [
    rule === null ? nothing : html`<span class="rule" title=${rule}>${icon("repeat")}${inWords(rule)}</span>`,
    next === null
      ? html`<span>Comes no more</span>`
      : html`<time class="due" datetime=${next} title=${wholeTime(next)}>${icon("calendar")}Next: ${dueLabel(next)}</time>`,
  ];
}

/** @param {Task} task @param {string} due @param {boolean} isDated */
function dueOf(task, due, isDated) {
  const at = new Date(due);
  const [day, now] = [dayOf(at), today()];
  const isOverdue = !task.completed && at.getTime() < Date.now();
  const kind = isOverdue ? "is-overdue" : day === now ? "is-today" : "";
  if (isDated && isWholeDay(due)) {
    return nothing;
  }
  const label = isDated ? timeLabel(at) : dueLabel(due);
  return html`<time class="due ${kind}" datetime=${due} title=${wholeTime(due)}>${icon("calendar")}${label}</time>`;
}

/** Complete a task, or open it again. @param {string} id */
export function toggle(id) {
  const task = store.task(id);
  if (task) {
    keepingFocus(id, () => {
      if (!task.completed) {
        leave(rowOf(id));
      }
      void changes.complete(task, !task.completed);
    });
  }
}

/** @param {string} id */
function remove(id) {
  const task = store.task(id);
  if (task) {
    keepingFocus(id, () => {
      leave(rowOf(id));
      void changes.remove(task);
    });
  }
}

/** Let the picture of a row fade where it was. @param {Element | null} row */
function leave(row) {
  if (!row || matchMedia("(prefers-reduced-motion: reduce)").matches) {
    return;
  }
  const ghost = /** @type {HTMLElement} */ (row.cloneNode(true));
  const box = row.getBoundingClientRect();
  ghost.classList.add("is-leaving");
  ghost.removeAttribute("data-task");
  ghost.setAttribute("aria-hidden", "true");
  ghost.inert = true;
  ghost.style.top = `${box.top + scrollY}px`;
  ghost.style.left = `${box.left + scrollX}px`;
  ghost.style.width = `${box.width}px`;
  document.body.append(ghost);
  ghost.addEventListener("animationend", () => ghost.remove());
  // Where no animation runs, none ends.
  setTimeout(() => ghost.remove(), 600);
}

const OF_ROWS = "A task in the list";
const hasRow = () => focusedId() !== "";

shortcut(
  { keys: "j", group: OF_ROWS, label: "Next task", run: () => moveFocus(1) },
  { keys: "k", group: OF_ROWS, label: "Task before", run: () => moveFocus(-1) },
  { keys: "ArrowDown", group: OF_ROWS, label: "Next task", run: () => moveFocus(1), isOn: hasRow },
  { keys: "ArrowUp", group: OF_ROWS, label: "Task before", run: () => moveFocus(-1), isOn: hasRow },
  { keys: "x", group: OF_ROWS, label: "Complete it", run: () => toggle(focusedId()), isOn: hasRow },
  { keys: "e", group: OF_ROWS, label: "Open it", run: () => router.go(`/tasks/${focusedId()}`), isOn: hasRow },
  { keys: "Delete", group: OF_ROWS, label: "Delete it", run: () => remove(focusedId()), isOn: hasRow },
);
