/**
 * One task with everything: beside the list on a wide screen, a page of its own on a phone.
 *
 * @import { Location, View } from "../places.js"
 * @import { Message, Priority, Status, Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { keyed } from "../../vendor/directives/keyed.js";
import { live } from "../../vendor/directives/live.js";
import { ref } from "../../vendor/directives/ref.js";
import { Problem } from "../api.js";
import * as changes from "../changes.js";
import * as conflicts from "../conflicts.js";
import { ago, wholeTime } from "../dates.js";
import { shortcut } from "../keyboard.js";
import { live as connection } from "../live.js";
import { conflictChoice } from "../parts/conflict.js";
import { DueEditor } from "../parts/due-editor.js";
import { EditedText } from "../parts/edited-text.js";
import { History } from "../parts/history.js";
import { icon } from "../parts/icons.js";
import { RecurrenceEditor } from "../parts/recurrence-editor.js";
import { Reminders } from "../parts/reminders.js";
import { TagEditor } from "../parts/tag-editor.js";
import { router } from "../router.js";
import { session } from "../session.js";
import { store } from "../store.js";
import * as text from "../text.js";
import { update } from "../update.js";

const TITLE_MAX_CHARS = 255;
const DESCRIPTION_MAX_CHARS = 10_000;

/** @param {Location} location @returns {View} */
export function makeView({ params }) {
  const asked = params["task_id"] ?? "";
  const title = new EditedText({ taskId: asked, field: "title", label: "Title", maxChars: TITLE_MAX_CHARS, placeholder: "What is to be done", isLine: true });
  const description = new EditedText({ taskId: asked, field: "description", label: "Description", maxChars: DESCRIPTION_MAX_CHARS, placeholder: "Add a description" });
  const due = new DueEditor();
  const tags = new TagEditor();
  const recurrence = new RecurrenceEditor();
  const reminders = new Reminders(asked);
  const history = new History(asked);

  /** What could not be loaded, and why. @type {Error | null} */
  let failed = null;

  /** The task as it was last known, where it is there no more. @type {Task | undefined} */
  let last;

  const taskNow = () => store.task(store.idOf(asked));

  async function load() {
    failed = null;
    const task = taskNow();
    if (task?.is_draft) {
      return;
    }
    try {
      const { body } = await session.request("GET", `tasks/${encodeURIComponent(store.idOf(asked))}`);
      store.put(body);
    } catch (error) {
      failed = /** @type {Error} */ (error);
      if (error instanceof Problem && error.status === 404 && !taskNow()) {
        // It may have been deleted: its history is there still.
        await history.load();
        last = history.last;
      }
    }
    update();
  }

  /** @param {Message} message */
  function receive(message) {
    reminders.receive(message);
    history.receive(message);
    if (message.type === "task.deleted" && message.data["id"] === store.idOf(asked)) {
      last = /** @type {Task} */ (/** @type {unknown} */ (message.data));
    }
    if (message.type === "task.restored" && message.data["id"] === store.idOf(asked)) {
      failed = null;
      void reminders.load();
    }
  }

  /** Save what is typed: the page may be gone in a moment. */
  function save() {
    if (session.state === "signed-out") {
      return;
    }
    void title.save();
    void description.save();
  }

  function back() {
    if (failed) {
      void load();
      void reminders.load();
    }
  }

  /** @param {boolean} isRight */
  const whereFocused = (isRight) => isRight && document.querySelector(".task-panel")?.contains(document.activeElement) === true;
  const isHere = () => whereFocused(taskNow() !== undefined);
  const takeBack = shortcut(
    { keys: "x", group: "An open task", label: "Complete it", run: toggle, isOn: isHere },
    { keys: "d", group: "An open task", label: "Set its due date", run: () => withTask((task) => due.open(task)), isOn: isHere },
    { keys: "r", group: "An open task", label: "Have it repeat", run: () => withTask((task) => void recurrence.open(task)), isOn: isHere },
    { keys: "Delete", group: "An open task", label: "Delete it", run: remove, isOn: isHere },
  );

  /** @param {(task: Task) => void} work */
  function withTask(work) {
    const task = taskNow();
    if (task) {
      work(task);
    }
  }

  function toggle() {
    withTask((task) => void changes.complete(task, !task.completed));
  }

  async function remove() {
    await title.save();
    withTask((task) => {
      void changes.remove(task);
      router.close();
    });
  }

  async function restore() {
    if (last) {
      const gone = last;
      last = undefined;
      failed = null;
      await changes.restore(gone);
      await load();
      await reminders.load();
    }
  }

  const nameOf = () => taskNow()?.title || last?.title || "Task";

  store.messageListeners.add(receive);
  connection.backListeners.add(back);
  addEventListener("pagehide", save);
  void load();
  if (!taskNow()?.is_draft) {
    void reminders.load();
  }

  return {
    title: nameOf,
    render() {
      const task = taskNow();
      if (task && !task.is_draft) {
        last = task;
      }
      return html`${keyed(
        asked,
        html`<div class="task-panel" role="dialog" aria-label=${`Task: ${nameOf()}`} tabindex="-1" data-panel=${asked} ${ref(focusFirst)}>
          ${task ? whole(task) : absent()}
        </div>`,
      )}`;
    },
    left() {
      save();
      takeBack();
      store.messageListeners.delete(receive);
      connection.backListeners.delete(back);
      removeEventListener("pagehide", save);
      focusRow(store.idOf(asked));
    },
  };

  /** @param {Task} task */
  function whole(task) {
    return html`<header class="panel-head">
        ${closer()}
        <span class="panel-state" role="status">${state(task)}</span>
        <button type="button" class="quiet round" aria-label="Delete" title="Delete (Del)" @click=${() => void remove()}>${icon("trash")}</button>
      </header>
      <div class="panel-title ${task.completed ? "is-completed" : ""}" data-priority=${task.priority}>
        <button type="button" class="check" role="checkbox" aria-checked=${task.completed ? "true" : "false"} aria-label=${`Complete: ${task.title}`} @click=${toggle}>
          ${icon("check")}
        </button>
        <div>${title.render(task)}</div>
      </div>
      <div class="panel-description">${description.render(task)}</div>
      ${conflicts.of(task.id).map((conflict) => conflictChoice(conflict, task))}
      <div class="properties">
        ${property("calendar", "Due", due.render(task))}
        ${property("flag", "Priority", priorities(task))}
        ${property("tag", "Tags", tags.render(task))}
        ${property("repeat", "Repeats", task.recurring_task_id ? ofSeries(task.recurring_task_id) : recurrence.render(task))}
        ${property("bell", "Reminders", reminders.render(task))}
        ${property("done", "Status", statuses(task))}
      </div>
      ${metadata(task)} ${task.is_draft ? nothing : history.render()}
      <p class="panel-foot muted">
        Created <time datetime=${task.created_at} title=${wholeTime(task.created_at)}>${ago(task.created_at)}</time>,
        changed <time datetime=${task.updated_at} title=${wholeTime(task.updated_at)}>${ago(task.updated_at)}</time>
      </p>`;
  }

  function absent() {
    const kept = [title, description].filter((each) => each.typed !== null);
    return html`<header class="panel-head">${closer()}<span class="panel-state"></span></header>
      ${last
        ? html`<div class="empty">
            <span class="empty-icon">${icon("trash")}</span>
            <p>“<span dir="auto">${last.title}</span>” was deleted.</p>
            <button type="button" class="primary" @click=${() => void restore()}>Bring it back</button>
            ${kept.map((each) => html`<p class="was-typed"><small class="muted">What you had typed (${each.label.toLowerCase()}):</small><br><span dir="auto">${each.typed}</span></p>`)}
          </div>`
        : failed
          ? html`<div class="empty" role="alert">
              <p>${failed instanceof Problem && failed.status < 500 && failed.status !== 429 ? "There is no such task." : failed.message}</p>
              ${failed instanceof Problem && failed.status < 500 && failed.status !== 429
                ? html`<a href="/all">All tasks</a>`
                : html`<button type="button" @click=${() => void load()}>Try again</button>`}
            </div>`
          : html`<div class="skeletons" role="status" aria-label="Loading">
              ${[80, 40, 60].map((width) => html`<div class="skeleton"><span .style=${`width: ${width}%`}></span></div>`)}
            </div>`}`;
  }

  /** @param {Task} task */
  function state(task) {
    if (title.typed !== null || description.typed !== null) {
      return "Saved as you leave it";
    }
    return store.isWaiting(task.id) && connection.state === "offline" ? "Kept here, to be sent" : nothing;
  }
}

function closer() {
  return html`<button type="button" class="quiet round panel-close" aria-label="Close" title="Close (Esc)" @click=${() => router.close()}>
    <span class="on-phone turned">${icon("chevron")}</span><span class="on-desktop">${icon("close")}</span>
  </button>`;
}

/** @param {string} iconName @param {string} label @param {unknown} content */
function property(iconName, label, content) {
  return html`<div class="property">
    <span class="property-label">${icon(iconName)}<span>${label}</span></span>
    <div class="property-content">${content}</div>
  </div>`;
}

/** @param {Task} task */
function priorities(task) {
  return html`<div class="priorities" role="radiogroup" aria-label="Priority">
    ${Object.entries(text.PRIORITIES).reverse().map(([value, label]) => html`<label data-priority=${value}>
      <input type="radio" name="priority" value=${value} .checked=${live(task.priority === value)}
        @change=${() => void changes.edit(task, { priority: /** @type {Priority} */ (value) }, `Priority: ${label}`)}>
      <span>${label}</span>
    </label>`)}
  </div>`;
}

/** @param {Task} task */
function statuses(task) {
  return html`<select
    class="plain"
    aria-label="Status"
    .value=${live(task.status)}
    @change=${(/** @type {Event} */ event) => {
      const status = /** @type {Status} */ (/** @type {HTMLSelectElement} */ (event.target).value);
      void changes.edit(task, { status, completed: status === "completed" }, `Status: ${text.STATUSES[status]}`);
    }}
  >
    ${Object.entries(text.STATUSES).map(([value, label]) => html`<option value=${value} ?selected=${value === task.status}>${label}</option>`)}
  </select>`;
}

/** @param {string} seriesId */
function ofSeries(seriesId) {
  return html`<p class="value quiet-text">One of a series; what you change here changes this one alone.</p>
    <p class="below"><a href=${`/tasks/${seriesId}`}>Change the series</a></p>`;
}

/** @param {Task} task */
function metadata(task) {
  const entries = Object.entries(task.metadata);
  return entries.length === 0
    ? nothing
    : html`<details class="metadata">
        <summary>Metadata</summary>
        <dl>${entries.map(([key, value]) => html`<div><dt dir="auto">${key}</dt><dd dir="auto">${typeof value === "string" ? value : JSON.stringify(value)}</dd></div>`)}</dl>
      </details>`;
}

/** @param {Element | undefined} element */
function focusFirst(element) {
  if (element instanceof HTMLElement) {
    // Not the title: who only looks is not in the midst of writing.
    queueMicrotask(() => element.isConnected && element.focus({ preventScroll: true }));
  }
}

/** Have the focus go back to the task in the list, if it was in here. @param {string} id */
function focusRow(id) {
  const panel = document.querySelector(".task-panel");
  if (panel?.contains(document.activeElement) || document.activeElement === document.body) {
    /** @type {HTMLElement | null} */ (document.querySelector(`[data-task="${CSS.escape(id)}"] .task-link`))?.focus({ preventScroll: true });
  }
}
