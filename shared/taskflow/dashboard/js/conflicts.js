/**
 * What was changed here and elsewhere at once: both are kept until the user has chosen.
 *
 * @import { Problem } from "./api.js"
 * @import { Change, Task } from "./representations.js"
 */
import * as offline from "./offline.js";
import { store } from "./store.js";
import { onTold, tellTabs } from "./tabs.js";
import { update } from "./update.js";

const KEPT_AS = "conflicts";

/**
 * @typedef {object} Conflict
 * @property {Change} change what was wanted here
 * @property {(keyof Task)[]} fields those of it that are otherwise elsewhere
 * @property {string} title of the task, for where it is not shown
 */

/** @type {Conflict[]} */
let conflicts = [];

/** Called with each new one. @type {Set<(conflict: Conflict) => void>} */
export const listeners = new Set();

/** Begin with those that were left from before. */
export async function start() {
  conflicts = (await offline.keptAs(KEPT_AS)) ?? [];
  update();
}

/** Forget all, for the user has signed out. */
export function clear() {
  conflicts = [];
}

/** Whether a refusal is one that the user chooses about. @param {Problem} problem */
export function isOne(problem) {
  return problem.details["is_to_choose"] === true;
}

/** Return those of a task. @param {string} id */
export function of(id) {
  return conflicts.filter(({ change }) => store.idOf(change.task_id ?? "") === id);
}

/** @param {Conflict} conflict */
export async function add(conflict) {
  await changeTo([...conflicts, conflict]);
  listeners.forEach((listener) => listener(conflict));
}

/** Take one for settled. @param {Conflict} conflict */
export async function settle(conflict) {
  await changeTo(conflicts.filter((each) => each.change.key !== conflict.change.key));
}

/** Want something else than before. @param {Conflict} conflict @param {Partial<Task>} fields */
export async function want(conflict, fields) {
  const { change } = conflict;
  const wanted = { ...change, body: { ...change.body, ...fields }, becomes: { ...change.becomes, ...fields } };
  await changeTo(conflicts.map((each) => (each.change.key === change.key ? { ...each, change: wanted } : each)));
}

/** @param {Conflict[]} changed */
async function changeTo(changed) {
  conflicts = changed;
  update();
  tellTabs("conflicts", conflicts);
  await offline.keepAs(KEPT_AS, conflicts);
}

onTold("conflicts", (changed) => {
  conflicts = changed;
  update();
});
