/** What the tabs of one browser share: a channel, and locks that one of them holds at a time. */

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("taskflow") : null;

/** Where there are no locks: what runs alone within this tab. @type {Map<string, Promise<unknown>>} */
const chains = new Map();

/** @type {Map<string, Set<(content: any) => void>>} */
const listeners = new Map();

/** Whose this tab is. */
let userId = "";

channel?.addEventListener("message", (event) => {
  const { of = "" } = event.data;
  if (of !== "" && of !== userId) {
    return;
  }
  for (const listener of listeners.get(event.data.type) ?? []) {
    listener(event.data.content);
  }
});

/** Listen and tell as a user: what other tabs tell of another one is not for this tab. @param {string} id */
export function actAs(id) {
  userId = id;
}

/**
 * Tell the other tabs of the user.
 *
 * @param {string} type
 * @param {unknown} content
 */
export function tellTabs(type, content) {
  channel?.postMessage({ type, content, of: userId });
}

/**
 * Tell all other tabs, whose ever they are.
 *
 * @param {string} type
 * @param {unknown} content
 */
export function tellAllTabs(type, content) {
  channel?.postMessage({ type, content });
}

/**
 * Listen to what other tabs tell.
 *
 * @param {string} type
 * @param {(content: any) => void} listener
 */
export function onTold(type, listener) {
  const ofType = listeners.get(type) ?? new Set();
  ofType.add(listener);
  listeners.set(type, ofType);
}

/**
 * Run something that only one tab does at a time, once it is this one's turn. Where a browser has no
 * locks (a page that came without TLS), each tab does it for itself.
 *
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @param {AbortSignal} [signal] gives up waiting
 * @returns {Promise<T>}
 */
export async function alone(name, work, signal) {
  if (!("locks" in navigator)) {
    const before = chains.get(name) ?? Promise.resolve();
    const result = before.then(work);
    chains.set(name, result.catch(() => {}));
    return result;
  }
  const options = signal ? { signal } : {};
  return navigator.locks.request(`taskflow ${name}`, options, work);
}
