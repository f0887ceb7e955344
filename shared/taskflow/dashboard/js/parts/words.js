/**
 * What words such as "friday at 9" and "every other monday" say, by the grammar of the quick add.
 *
 * @import { Preview } from "../representations.js"
 */
import { session } from "../session.js";

const TIMEOUT_MS = 2_000;

/** Stands for the task that the words are of. */
const TITLE = "Task";

/**
 * Have words understood; null where something in them is not. Throws as `session.request` does.
 *
 * @param {string} words
 * @param {AbortSignal} [signal]
 * @returns {Promise<Preview["task"] | null>}
 */
export async function understood(words, signal) {
  const body = { text: `${TITLE}, ${words.trim()}` };
  const { body: preview } = await session.request("POST", "tasks/quick/preview", { body, signal, timeoutMs: TIMEOUT_MS });
  return preview.task.title.replace(/,$/, "") === TITLE ? preview.task : null;
}
