/** What the tabs of one browser share: a channel, and locks that one of them holds at a time. */

const channel = "BroadcastChannel" in globalThis ? new BroadcastChannel("taskflow") : null;

/** Where there are no locks: what runs alone within this tab. @type {Map<string, Promise<unknown>>} */
const chains = new Map();

/** @type {Map<string, Set<(content: any) => void>>} */
const listeners = new Map();

channel?.addEventListener("message", (event) => {
  for (const listener of listeners.get(event.data.type) ?? []) {
    listener(event.data.content);
  }
});

/**
 * Tell the other tabs.
 *
 * @param {string} type
 * @param {unknown} content
 */
export function tellTabs(type, content) {
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
