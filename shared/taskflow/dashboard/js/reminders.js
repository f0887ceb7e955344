/**
 * Reminders as they come: shown over the page until they are answered, and by the browser where nobody looks.
 *
 * @import { Message, Task } from "./representations.js"
 */
import { Problem } from "./api.js";
import * as changes from "./changes.js";
import { addDays, instantOf, today } from "./dates.js";
import { inbox } from "./inbox.js";
import { live } from "./live.js";
import { store } from "./store.js";
import { onTold, tellTabs } from "./tabs.js";
import * as text from "./text.js";
import { thisBrowser } from "./this-browser.js";
import { say } from "./toasts.js";
import { update } from "./update.js";

const OLD_MS = 12 * 3_600_000;
/** What came longer ago, while the user was away, is in the inbox alone. */

const MORNING = "09:00";

/**
 * @typedef {object} Shown
 * @property {string} id the reminder's; of a message without one, the notification's
 * @property {string | null} taskId
 * @property {string | null} title
 * @property {string | null} message
 * @property {string} at
 * @property {boolean} isReminder
 * @property {boolean} isSnoozing whether it is asked until when
 */

/** Those that are shown, the newest first. @type {Shown[]} */
let shown = [];

/** Reminders that were answered before they were in the inbox. @type {Set<string>} */
const answered = new Set();

export function shownReminders() {
  return shown;
}

/** Until when one may be reminded again. @returns {{ label: string, until: () => Date }[]} */
export function snoozes() {
  const inMs = (/** @type {number} */ ms) => () => new Date(Date.now() + ms);
  return [
    { label: "10 min", until: inMs(600_000) },
    { label: "1 hour", until: inMs(3_600_000) },
    { label: "Tomorrow", until: () => instantOf(addDays(today(), 1), MORNING) },
  ];
}

/** Ask until when, or no more. @param {Shown} reminder */
export function toggleSnoozes(reminder) {
  shown = shown.map((each) => (each.id === reminder.id ? { ...each, isSnoozing: !each.isSnoozing } : each));
  update();
}

/** Be reminded again later. @param {Shown} reminder @param {{ label: string, until: () => Date }} snooze */
export async function snooze(reminder, { label, until }) {
  dismiss(reminder);
  const path = `reminders/${reminder.id}/snooze`;
  try {
    await changes.make({ method: "POST", path, body: { until: until().toISOString() }, task_id: null, becomes: {} });
    say(text.snoozed(label));
  } catch (error) {
    if (!(error instanceof Problem)) {
      throw error;
    }
    say(text.refused(error), { isError: true });
  }
}

/** Complete the task that was reminded of. @param {Shown} reminder */
export function complete(reminder) {
  const { taskId, title } = reminder;
  dismiss(reminder);
  if (taskId !== null) {
    const task = store.task(taskId) ?? { id: taskId, title: title ?? "" };
    void changes.complete(/** @type {Task} */ (task));
  }
}

/** Take one away, in all tabs; who does so has read it. @param {Shown} reminder */
export function dismiss({ id, isReminder }) {
  drop((each) => each.id === id);
  tellTabs("reminder dismissed", id);
  const notification = isReminder ? inbox.ofReminder(id) : inbox.get(id);
  if (notification) {
    void inbox.read(notification.id);
  } else {
    answered.add(id);
  }
}

export function forgetReminders() {
  shown = [];
  answered.clear();
}

/** @param {(each: Shown) => boolean} isGone */
function drop(isGone) {
  const left = shown.filter((each) => !isGone(each));
  if (left.length !== shown.length) {
    shown = left;
    update();
  }
}

/** @param {Shown} reminder @param {Message} message */
function show(reminder, { timestamp }) {
  if (Date.now() - Date.parse(timestamp) > OLD_MS) {
    return;
  }
  shown = [reminder, ...shown.filter((each) => each.id !== reminder.id)];
  update();
  // The tab that follows the stream is the one that tells the user.
  if (live.isFollowing) {
    const { title, message, taskId: task_id } = reminder;
    void thisBrowser.tell({ title, message, task_id, due_date: null, created_at: timestamp });
  }
}

/** @param {Message} message */
function receive(message) {
  const { type, data } = message;
  const id = String(data["id"]);
  if (type === "reminder") {
    const [taskId, title, told, at] = ["task_id", "task_title", "reminder_message", "remind_at"].map(
      (name) => /** @type {string} */ (data[name]),
    );
    show(
      { id, taskId: taskId ?? null, title: title ?? null, message: told ?? null, at: at ?? "", isReminder: true, isSnoozing: false },
      message,
    );
  } else if (type === "notification.created") {
    const notification = inbox.get(id);
    if (!notification) {
      return;
    }
    const { reminder_id: reminderId, task_id: taskId, title, message: told, created_at: at } = notification;
    if (reminderId === null) {
      show({ id, taskId, title, message: told, at, isReminder: false, isSnoozing: false }, message);
    } else if (answered.delete(reminderId)) {
      void inbox.read(id);
    }
  } else if (type === "notification.read") {
    drop((each) => each.id === id || each.id === data["reminder_id"]);
  } else if (type === "reminder.rescheduled" || type === "reminder.cancelled") {
    drop((each) => each.id === id);
  } else if (type === "task.completed" || type === "task.deleted") {
    drop((each) => each.taskId === id);
  }
}

store.messageListeners.add(receive);
onTold("reminder dismissed", (id) => drop((each) => each.id === id));
