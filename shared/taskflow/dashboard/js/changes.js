/**
 * Changes of tasks: shown at once, kept until they are answered, sent one after the other.
 *
 * Each has an Idempotency-Key, so that one whose answer was lost is sent again and counts once. All tabs
 * share one queue, which one of them at a time sends.
 *
 * A change of fields says which version it is of, and what was in them. Where the task has changed since,
 * but not in these fields, it is sent again as a change of the newer version; else its user chooses.
 *
 * @import { Change, Task } from "./representations.js"
 */
import { Problem, Unreachable } from "./api.js";
import * as conflicts from "./conflicts.js";
import * as offline from "./offline.js";
import { session } from "./session.js";
import { store } from "./store.js";
import { alone, onTold, tellTabs } from "./tabs.js";
import * as text from "./text.js";
import { say } from "./toasts.js";

const QUICK = "tasks/quick";
const A_TIME = /^\d{4}-\d\d-\d\dT[\d:.]+Z$/;
const AGAIN_MS = 2_000;
const AGAIN_MAX_MS = 30_000;

/** What a task is made of. @typedef {{ text: string, default_text?: string }} Line */

/**
 * @typedef {object} Outcome
 * @property {Task | null} [task] as the server answers it
 * @property {Error} [error]
 */

/** Those who wait for the answer to a change, by its key. @type {Map<string, (outcome: Outcome) => void>} */
const waiting = new Map();

/** What can be undone, the last one last. @type {(() => void)[]} */
const undone = [];

/** Told of each line that was refused, and that nobody waits for any more. @type {(line: Line, refusal: Problem) => void} */
let lineRefused = () => {};

let failures = 0;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/**
 * Make a change: show it, keep it, and have it sent. Resolves with the task as the server answers it,
 * at once with undefined where it is kept for later. Rejects with the Problem that refuses it.
 *
 * @param {Omit<Change, "key" | "if_match"> & { key?: string, if_match?: string | null }} wanted
 * @returns {Promise<Task | null | undefined>}
 */
export async function make(wanted) {
  const key = wanted.key ?? newId();
  const change = { if_match: null, ...wanted, key, task_id: wanted.task_id && store.idOf(wanted.task_id) };
  store.setChanges([...store.changes, change]);
  tellTabs("made", change);
  const answered = new Promise((/** @type {(outcome: Outcome) => void} */ resolve) => waiting.set(key, resolve));
  await offline.keep(change);
  void sendAll();
  const { task, error } = await answered;
  if (error) {
    throw error;
  }
  return task;
}

/** Complete a task, or open it again. @param {Task} task @param {boolean} completed */
export async function complete(task, completed = true) {
  const now = new Date().toISOString();
  const changed = attempt({
    method: "PATCH",
    path: "tasks/{task_id}/complete",
    body: { completed },
    task_id: task.id,
    becomes: {
      completed,
      status: completed ? "completed" : "pending",
      completed_at: completed ? now : null,
      updated_at: now,
    },
  });
  if (completed) {
    undoable(text.completed(task.title), () => complete(task, false));
  }
  await changed;
}

/** Change fields of a task, and offer to undo it. @param {Task} task @param {Partial<Task>} fields @param {string} [said] */
export async function edit(task, fields, said = text.changed(task.title)) {
  const names = /** @type {(keyof Task)[]} */ (Object.keys(fields));
  const before = Object.fromEntries(names.map((name) => [name, task[name]]));
  undoable(said, () =>
    attempt({ method: "PATCH", path: "tasks/{task_id}", body: before, task_id: task.id, becomes: before }),
  );
  try {
    await revise(task, fields);
  } catch (error) {
    sayRefusal(error);
  }
}

/**
 * Change fields of a task as its user saw it. Rejects with the Problem that refuses it; with 412, its
 * user is to choose (`conflicts`).
 *
 * @param {Task} seen
 * @param {Partial<Task>} fields
 */
export async function revise(seen, fields) {
  const names = /** @type {(keyof Task)[]} */ (Object.keys(fields));
  return make({
    method: "PATCH",
    path: "tasks/{task_id}",
    body: fields,
    task_id: seen.id,
    becomes: fields,
    before: Object.fromEntries(names.map((name) => [name, seen[name]])),
    if_match: tagOf(seen),
  });
}

/** Return the entity tag of a task as it was seen; null where the server had none of it. @param {Task} task */
export function tagOf(task) {
  return task.is_draft ? null : `"${task.version}"`;
}

/** Delete a task; it can be brought back. @param {Task} task */
export async function remove(task) {
  undoable(text.deleted(task.title), () => restore(task));
  await attempt({ method: "DELETE", path: "tasks/{task_id}", body: null, task_id: task.id, becomes: null });
}

/** Bring back a task that was deleted. @param {Task} task */
export async function restore(task) {
  const becomes = { ...task, id: store.idOf(task.id), is_draft: false };
  await attempt({ method: "POST", path: "tasks/{task_id}/restore", body: null, task_id: task.id, becomes });
}

/**
 * Make a task out of a line of text. Rejects with the Problem that refuses it.
 *
 * @param {Line} line
 * @param {Partial<Task>} understood what it will be, as far as that is known
 */
export async function quickAdd(line, understood) {
  const [key, now] = [newId(), new Date().toISOString()];
  return make({
    key,
    method: "POST",
    path: QUICK,
    body: line,
    task_id: key,
    becomes: { title: line.text, ...understood, created_at: now, updated_at: now, is_draft: true },
  });
}

/** Undo the last change that can be undone. */
export function undo() {
  const last = undone.pop();
  if (last) {
    last();
  } else {
    say(text.NOTHING_TO_UNDO);
  }
}

/** Forget what could be undone, for the user has signed out. */
export function clear() {
  undone.length = 0;
}

/** Have lines given back that were refused, and that nobody waits for any more. @param {typeof lineRefused} listener */
export function onLineRefused(listener) {
  lineRefused = listener;
}

/** Begin to send what was left from before, and what other tabs keep. */
export async function start() {
  await adopt();
  void sendAll();
}

/** Send what waits, now: the server can be reached again. */
export function sendNow() {
  failures = 0;
  void sendAll();
}

/** Make a change, and say so where it is refused. @param {Parameters<typeof make>[0]} wanted */
export async function attempt(wanted) {
  try {
    await make(wanted);
  } catch (error) {
    sayRefusal(error);
  }
}

/** @param {unknown} error */
function sayRefusal(error) {
  if (!(error instanceof Problem)) {
    throw error;
  }
  if (!conflicts.isOne(error)) {
    say(text.refused(error), { isError: true });
  }
}

/** Say what was done, and offer to undo it. @param {string} said @param {() => Promise<void>} undoing */
export function undoable(said, undoing) {
  const once = () => {
    const at = undone.indexOf(once);
    if (at >= 0) {
      undone.splice(at, 1);
    }
    dismiss();
    undoing().catch(sayRefusal);
  };
  undone.push(once);
  const dismiss = say(said, { action: { label: text.UNDO, run: once } });
}

async function adopt() {
  const kept = await offline.waiting();
  store.setChanges(kept);
}

async function sendAll() {
  clearTimeout(timer);
  if (session.state !== "signed-in") {
    return;
  }
  await alone("changes", async () => {
    for (const change of await offline.waiting()) {
      if (!(await isAnswered(change))) {
        const waitMs = Math.min(AGAIN_MAX_MS, AGAIN_MS * 2 ** failures);
        failures += 1;
        timer = setTimeout(() => void sendAll(), waitMs * (0.5 + Math.random() / 2));
        // Who waits is not held up: it is kept, and will be sent.
        waiting.forEach((resolve) => resolve({}));
        waiting.clear();
        return;
      }
      failures = 0;
    }
  });
}

/** Send a change; say whether it was answered for good. @param {Change} change */
async function isAnswered(change) {
  try {
    const { body } = await session.request(change.method, pathOf(change), {
      ...(change.body === null ? {} : { body: change.body }),
      headers: {
        "Idempotency-Key": change.key,
        // By which the stream's message shows that it is of this change.
        "X-Correlation-ID": change.key,
        ...(change.if_match === null ? {} : { "If-Match": change.if_match }),
      },
    });
    const task = /** @type {Task | null} */ (body && "version" in body ? body : null);
    await settle(change, { task });
  } catch (error) {
    if (error instanceof Unreachable || (error instanceof Problem && (error.isPassing || error.status === 401))) {
      return false;
    }
    if (error instanceof Problem && error.status === 412 && change.before) {
      return isReconciled(change, change.before, error);
    }
    await settle(change, { error: /** @type {Error} */ (error) });
  }
  return true;
}

/**
 * Send a change once more, of a task that has changed since it was seen; where that was in the same
 * fields, have the user choose. Say whether it was answered for good.
 *
 * @param {Change} change
 * @param {Partial<Task>} before
 * @param {Problem} stale
 * @returns {Promise<boolean>}
 */
async function isReconciled(change, before, stale) {
  /** @type {Task} */
  let newer;
  try {
    ({ body: newer } = await session.request("GET", pathOf({ ...change, path: "tasks/{task_id}" })));
  } catch (error) {
    if (error instanceof Unreachable || (error instanceof Problem && (error.isPassing || error.status === 401))) {
      return false;
    }
    await settle(change, { error: /** @type {Error} */ (error) });
    return true;
  }
  store.put(newer);
  const names = /** @type {(keyof Task)[]} */ (Object.keys(before));
  const fields = names.filter(
    (name) => !isSame(newer[name], before[name]) && !isSame(newer[name], change.body?.[name] ?? null),
  );
  if (fields.length === 0) {
    const again = { ...change, if_match: tagOf(newer) };
    await offline.keepAgain(again);
    return isAnswered(again);
  }
  await conflicts.add({ change, fields, title: newer.title });
  await settle(change, { error: new Problem(412, { ...stale.details, is_to_choose: true }) });
  return true;
}

/** Whether a field is the same; a time may be written with more digits. @param {unknown} one @param {unknown} other */
function isSame(one, other) {
  if (typeof one === "string" && typeof other === "string" && A_TIME.test(one) && A_TIME.test(other)) {
    return Date.parse(one) === Date.parse(other);
  }
  return JSON.stringify(one) === JSON.stringify(other);
}

/** @param {Change} change @param {Outcome} outcome */
async function settle(change, outcome) {
  const { task } = outcome;
  if (task && change.task_id === change.key) {
    // What was done to the draft is done to the task.
    for (const later of await offline.waiting()) {
      if (later.task_id === change.key && later.key !== change.key) {
        await offline.keepAgain({ ...later, task_id: task.id });
      }
    }
  }
  await offline.letGo(change);
  const isHeard = settled(change, outcome);
  const { error } = outcome;
  const refusal = error instanceof Problem ? { status: error.status, details: error.details } : null;
  tellTabs("settled", { change, task, refusal });
  if (error instanceof Problem && !isHeard && !conflicts.isOne(error)) {
    // It was made before the page was opened, or was kept for later: nobody waits for its answer.
    if (change.path === QUICK) {
      lineRefused(/** @type {Line} */ (change.body), error);
    } else {
      say(text.refused(error), { isError: true });
    }
  }
}

/** Take an answer in; say whether somebody waited for it. @param {Change} change @param {Outcome} outcome */
function settled(change, outcome) {
  const { task } = outcome;
  if (task) {
    if (change.task_id === change.key) {
      store.becameOf(task.id, change.key);
    }
    if (change.path.endsWith("/restore")) {
      store.bringBack(task);
    } else {
      store.put(task);
    }
  } else if (change.becomes === null && !outcome.error && change.task_id !== null) {
    store.remove(change.task_id, store.versionOf(change.task_id) ?? 0);
  }
  const left = store.changes.filter((each) => each.key !== change.key);
  store.setChanges(
    left.map((each) => (task && each.task_id === change.key ? { ...each, task_id: task.id } : each)),
  );
  const resolve = waiting.get(change.key);
  waiting.delete(change.key);
  resolve?.(outcome);
  return resolve !== undefined;
}

onTold("settled", ({ change, task, refusal }) => {
  const error = refusal && new Problem(refusal.status, refusal.details);
  settled(change, error ? { error } : { task });
});
onTold("made", (change) => {
  if (!store.changes.some((each) => each.key === change.key)) {
    store.setChanges([...store.changes, change]);
  }
});

/** @param {Change} change */
function pathOf(change) {
  return change.path.replace("{task_id}", encodeURIComponent(store.idOf(change.task_id ?? "")));
}

/**
 * Return an id by which drafts lie in the order in which they were made (RFC 9562, version 7).
 *
 * A page that came without TLS has no `crypto.randomUUID`.
 */
function newId() {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const [at, rest] = [Date.now().toString(16).padStart(12, "0"), [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("")];
  const variant = "89ab".charAt((random[9] ?? 0) % 4);
  return `${at.slice(0, 8)}-${at.slice(8)}-7${rest.slice(0, 3)}-${variant}${rest.slice(3, 6)}-${rest.slice(6, 18)}`;
}
