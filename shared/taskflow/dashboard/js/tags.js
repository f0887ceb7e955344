/**
 * The user's tags, each with how many open tasks have it: counted by the server once, then by what happens.
 *
 * @import { Message, Statistics, Status, Task } from "./representations.js"
 */
import { OPEN } from "./lists.js";
import { session } from "./session.js";
import { store } from "./store.js";
import { update } from "./update.js";

const AGAIN_AFTER_MS = 1_000;

/** @type {Map<string, number>} */
let counts = new Map();

/** Whose they are. */
let userId = "";

/** Until when, by the server's clock, what happened may be in the counts or not. */
let unsureUntil = Infinity;

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Return the tags of open tasks, the most used first; they are counted if that has not been done. */
export function openTags() {
  if (userId !== session.user?.id) {
    userId = session.user?.id ?? "";
    counts = new Map();
    void count();
  }
  return [...counts]
    .filter(([, count]) => count > 0)
    .map(([tag, count]) => ({ tag, count }))
    .sort((one, other) => other.count - one.count || (one.tag < other.tag ? -1 : 1));
}

/** Return where the tasks with a tag are shown. @param {string} tag */
export function pathOfTag(tag) {
  // In a path, servers and browsers take these for something else.
  return tag.includes("/") || tag === "." || tag === ".."
    ? `/tags?tag=${encodeURIComponent(tag)}`
    : `/tags/${encodeURIComponent(tag)}`;
}

/** Have the server count them. */
async function count() {
  const whose = userId;
  unsureUntil = Infinity;
  try {
    const { body, headers } = await session.request("GET", "statistics?days=1");
    if (whose !== userId) {
      return;
    }
    const { open_by_tag: found } = /** @type {Statistics} */ (body);
    counts = new Map(found.map(({ tag, count: number }) => [tag, number]));
    // The header has no parts of a second.
    unsureUntil = (Date.parse(headers.get("Date") ?? "") || Date.now()) + 1_000;
    update();
  } catch {
    // They are counted again as the server can be reached again.
  }
}

function countSoon() {
  clearTimeout(timer);
  timer = setTimeout(() => userId !== "" && void count(), AGAIN_AFTER_MS);
}

/** Take in what happened. @param {Message} message */
function receive(message) {
  if (!/^(task|recurrence|recurring)\./.test(message.type) || userId === "") {
    return;
  }
  if (Date.parse(message.timestamp) <= unsureUntil) {
    countSoon();
    return;
  }
  const after = /** @type {Task} */ (/** @type {unknown} */ (message.data));
  const changes = /** @type {Record<string, { old?: unknown }>} */ (message.data["changes"] ?? {});
  const wasThere = message.type !== "task.created" && message.type !== "task.restored";
  const was = {
    status: /** @type {Status} */ (changes["status"] ? changes["status"].old : after.status),
    tags: /** @type {string[]} */ (changes["tags"] ? changes["tags"].old : after.tags),
  };
  if (wasThere) {
    add(was, -1);
  }
  if (message.type !== "task.deleted") {
    add(after, 1);
  }
}

/** @param {{ status: Status, tags: string[] }} task @param {number} by */
function add({ status, tags }, by) {
  if (/** @type {readonly string[]} */ (OPEN).includes(status)) {
    tags.forEach((tag) => counts.set(tag, (counts.get(tag) ?? 0) + by));
  }
}

store.messageListeners.add(receive);
store.refreshListeners.add(countSoon);
