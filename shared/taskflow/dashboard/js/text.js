/**
 * What the page says, in one place.
 *
 * @import { Problem } from "./api.js"
 */

export const UNDO = "Undo";
export const NOTHING_TO_UNDO = "There is nothing to undo.";
export const UNTITLED = "Untitled";
export const NO_TASKS_TODAY = "Nothing is due. Enjoy the day.";
export const NO_TASKS = "No tasks yet.";
export const NO_TASKS_HINT = "Press q to add one, in your own words: “Pay rent tomorrow 9:00 every month #home !high”.";
export const EXPIRED = "Your session has ended. Sign in to go on; nothing is lost.";
export const NEW_VERSION = "There is a new version of TaskFlow.";
export const LOAD_FAILED = "This could not be loaded.";

/** @param {string} title */
export const completed = (title) => `Completed “${shortened(title)}”`;

/** @param {string} title */
export const deleted = (title) => `Deleted “${shortened(title)}”`;

/** @param {string} title */
export const changed = (title) => `Changed “${shortened(title)}”`;

/** @param {string} title @param {string} when "" where it has no date */
export const added = (title, when) => `Added “${shortened(title)}”${when ? `, due ${when}` : ""}`;

/** @param {string} line @param {string} detail */
export const notAdded = (line, detail) => `“${shortened(line)}” was not added: ${detail}`;

/** @param {string} title */
export const kept = (title) => `“${shortened(title)}” is kept here, and added when you are back`;

/** @param {string} title @param {string} day */
export const moved = (title, day) => `Moved “${shortened(title)}” to ${day}`;

/** @param {string} title */
export const undated = (title) => `“${shortened(title)}” has no date now`;

/** @param {string} title */
export const clashed = (title) => `“${shortened(title)}” was changed elsewhere too. Nothing is lost.`;

/** @param {string} label */
export const snoozed = (label) => `Snoozed: ${label}`;

/** @param {number} seconds */
export const late = (seconds) =>
  seconds < 5_400 ? `${Math.round(seconds / 60)} min late` : `${counted(Math.round(seconds / 3_600), "hour")} late`;

/** @param {Problem} problem */
export function refused(problem) {
  const [first] = problem.errors;
  return first ? `That did not work: ${first.detail}` : `That did not work: ${problem.message}`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** @type {Record<string, string>} */
export const PRIORITIES = { urgent: "Urgent", high: "High", medium: "Medium", low: "Low" };

/** @type {Record<string, string>} */
export const STATUSES = { pending: "Open", in_progress: "In progress", completed: "Completed", cancelled: "Cancelled" };

/** What a task's fields are called. @type {Record<string, string>} */
export const FIELDS = {
  title: "Title",
  description: "Description",
  status: "Status",
  priority: "Priority",
  tags: "Tags",
  metadata: "Metadata",
  due_date: "Due date",
  recurrence_rule: "Repetition",
};

/** @type {Record<string, { label: string, detail: string }>} */
export const CONNECTION = {
  live: { label: "Live", detail: "Changes show at once on all your devices." },
  connecting: { label: "Connecting…", detail: "Looking for the server." },
  polling: { label: "Connected", detail: "This network lets no live connection through; changes are asked for, and show almost at once." },
  looking: { label: "Checking", detail: "This network lets no live connection through; changes from elsewhere show within half a minute." },
  offline: { label: "Offline", detail: "Changes are kept here and sent when you are back." },
};

/** @param {string} title */
export function shortened(title) {
  // Not by UTF-16: half of a pair is no character.
  const characters = Array.from(title.slice(0, 200));
  return characters.length > 60 ? `${characters.slice(0, 59).join("").trimEnd()}…` : title;
}
