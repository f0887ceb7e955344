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
import { store } from "../store.js";
import * as text from "../text.js";
import { icon } from "./icons.js";

/**
 * @param {Task} task
 * @param {{ isDated: boolean, position: number, count: number }} where
 * @returns {TemplateResult}
 */
export function taskRow(task, { isDated, position, count }) {
  const title = task.title === "" ? text.UNTITLED : task.title;
  return html`<li
    class="task ${task.completed ? "is-completed" : ""} ${task.is_draft ? "is-draft" : ""}"
    data-task=${task.id}
    data-priority=${task.priority}
    aria-setsize=${count}
    aria-posinset=${position}
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
      <span class="task-title" dir="auto">${title}</span>
      ${meta(task, isDated)}
    </a>
    <div class="task-actions">
      <button type="button" class="quiet round" tabindex="-1" aria-label=${`Delete: ${title}`} @click=${() => remove(task.id)}>
        ${icon("trash")}
      </button>
    </div>
  </li>`;
}

/** @param {Task} task @param {boolean} isDated */
function meta(task, isDated) {
  const due = task.due_date === null ? nothing : dueOf(task, task.due_date, isDated);
  const repeats = task.is_recurring || task.recurring_task_id !== null;
  const parts = [
    due,
    repeats ? html`<span class="repeats" title="Repeats">${icon("repeat")}<span class="only-read">Repeats</span></span>` : nothing,
    task.priority === "high" || task.priority === "urgent"
      ? html`<span class="priority" data-priority=${task.priority}>${text.PRIORITIES[task.priority]}</span>`
      : nothing,
    ...task.tags.map((tag) => html`<span class="tag" dir="auto">${tag}</span>`),
    store.isWaiting(task.id) && task.is_draft ? html`<span class="waits">${icon("clock")}to be sent</span>` : nothing,
  ].filter((part) => part !== nothing);
  return parts.length === 0 ? nothing : html`<span class="task-meta">${parts}</span>`;
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
  if (!task) {
    return;
  }
  const row = rowOf(id);
  const next = row && neighbour(row, 1);
  const hadFocus = row?.contains(document.activeElement) ?? false;
  if (row && !task.completed) {
    leave(row);
  }
  void changes.complete(task, !task.completed);
  keepFocus(hadFocus, next);
}

/** @param {string} id */
function remove(id) {
  const task = store.task(id);
  if (!task) {
    return;
  }
  const row = rowOf(id);
  const next = row && neighbour(row, 1);
  const hadFocus = row?.contains(document.activeElement) ?? false;
  if (row) {
    leave(row);
  }
  void changes.remove(task);
  keepFocus(hadFocus, next);
}

/** Have the focus go to the next row, where the one that had it goes. @param {boolean} hadFocus @param {Element | null | undefined} next */
function keepFocus(hadFocus, next) {
  const id = next?.getAttribute("data-task");
  if (!hadFocus || !id) {
    return;
  }
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) {
      linkOf(rowOf(id))?.focus();
    }
  });
}

/** Let the picture of a row fade where it was. @param {Element} row */
function leave(row) {
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) {
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

/** @param {string} id */
function rowOf(id) {
  return document.querySelector(`[data-task="${CSS.escape(id)}"]`);
}

/** @param {Element | null} row */
function linkOf(row) {
  return /** @type {HTMLElement | null} */ (row?.querySelector(".task-link") ?? null);
}

/** @param {Element} row @param {number} by */
function neighbour(row, by) {
  const rows = [...document.querySelectorAll("[data-task]")];
  return rows[rows.indexOf(row) + by] ?? rows[rows.indexOf(row) - by] ?? null;
}

/** Return the row that has the focus. */
function focused() {
  return document.activeElement?.closest("[data-task]") ?? null;
}

function focusedId() {
  return focused()?.getAttribute("data-task") ?? "";
}

/** Move the focus to the next row, or the one before. @param {number} by */
function move(by) {
  const at = focused();
  const rows = [...document.querySelectorAll("main [data-task]")];
  const target = at ? rows[rows.indexOf(at) + by] : rows.find(isOnScreen) ?? rows[0];
  const link = linkOf(target ?? null);
  link?.focus({ preventScroll: true });
  link?.scrollIntoView({ block: "nearest" });
}

/** @param {Element} row */
function isOnScreen(row) {
  return row.getBoundingClientRect().top >= 0;
}

const OF_ROWS = "A task in the list";
const hasRow = () => focused() !== null;

shortcut(
  { keys: "j", group: OF_ROWS, label: "Next task", run: () => move(1) },
  { keys: "k", group: OF_ROWS, label: "Task before", run: () => move(-1) },
  { keys: "ArrowDown", group: OF_ROWS, label: "Next task", run: () => move(1), isOn: hasRow },
  { keys: "ArrowUp", group: OF_ROWS, label: "Task before", run: () => move(-1), isOn: hasRow },
  { keys: "x", group: OF_ROWS, label: "Complete it", run: () => toggle(focusedId()), isOn: hasRow },
  { keys: "e", group: OF_ROWS, label: "Open it", run: () => router.go(`/tasks/${focusedId()}`), isOn: hasRow },
  { keys: "Delete", group: OF_ROWS, label: "Delete it", run: () => remove(focusedId()), isOn: hasRow },
);
