/**
 * What outlives the page (IndexedDB): what was last known, and the changes that are to be sent.
 *
 * Each user has a database of their own. Where the browser gives none (in some private windows), changes
 * are kept for as long as the page is open.
 *
 * @import { Change } from "./representations.js"
 */

const CHANGES = "changes";
const STATE = "state";
const SNAPSHOT = "snapshot";

/** @type {Promise<IDBDatabase | null>} */
let database = Promise.resolve(null);
let name = "";

/** @type {Change[]} */
const inMemory = [];
let lastNumber = 0;

/** Use the database of a user. @param {string} userId */
export function openFor(userId) {
  name = `taskflow ${userId}`;
  database = new Promise((resolve) => {
    if (!("indexedDB" in globalThis)) {
      resolve(null);
      return;
    }
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(CHANGES, { keyPath: "number", autoIncrement: true });
      request.result.createObjectStore(STATE);
    };
    request.onsuccess = () => {
      const opened = request.result;
      // Another tab forgets all there is, or a newer page wants another form of it.
      opened.onversionchange = () => opened.close();
      resolve(opened);
    };
    request.onerror = () => resolve(null);
  });
}

/** Forget all that is kept of the user. */
export async function forget() {
  (await database)?.close();
  database = Promise.resolve(null);
  inMemory.length = 0;
  if (name !== "" && "indexedDB" in globalThis) {
    indexedDB.deleteDatabase(name);
  }
}

/** Keep a change until it is answered; its number is set. @param {Change} change */
export async function keep(change) {
  const kept = await inStore(CHANGES, "readwrite", (changes) => changes.add(change));
  if (kept === undefined) {
    lastNumber += 1;
    inMemory.push({ ...change, number: lastNumber });
  }
}

/** Let a change go. @param {Change} change */
export async function letGo(change) {
  const { number } = change;
  if (number !== undefined) {
    await inStore(CHANGES, "readwrite", (changes) => changes.delete(number));
    const at = inMemory.findIndex((each) => each.number === number);
    if (at >= 0) {
      inMemory.splice(at, 1);
    }
  }
}

/** Keep a change as it is now. @param {Change} change */
export async function keepAgain(change) {
  await inStore(CHANGES, "readwrite", (changes) => changes.put(change));
  const at = inMemory.findIndex((each) => each.number === change.number);
  if (at >= 0) {
    inMemory[at] = change;
  }
}

/** Return the changes that are to be sent, in their order. @returns {Promise<Change[]>} */
export async function waiting() {
  const found = await inStore(CHANGES, "readonly", (changes) => changes.getAll());
  return found ?? [...inMemory];
}

/** Keep something under a name. @param {string} key @param {unknown} content */
export async function keepAs(key, content) {
  await inStore(STATE, "readwrite", (state) => state.put(content, key));
}

/** Return what is kept under a name. @param {string} key @returns {Promise<any>} */
export async function keptAs(key) {
  return inStore(STATE, "readonly", (state) => state.get(key));
}

/** Keep what is known. @param {unknown} snapshot */
export async function keepSnapshot(snapshot) {
  await keepAs(SNAPSHOT, snapshot);
}

/** Return what was known. @returns {Promise<any>} */
export async function keptSnapshot() {
  return keptAs(SNAPSHOT);
}

/**
 * Do something in a transaction of one store. Returns undefined where there is no database, or it fails.
 *
 * @template T
 * @param {string} store
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} work
 * @returns {Promise<T | undefined>}
 */
async function inStore(store, mode, work) {
  const opened = await database;
  if (!opened) {
    return undefined;
  }
  return new Promise((resolve) => {
    try {
      const transaction = opened.transaction(store, mode);
      const request = work(transaction.objectStore(store));
      // Not only once this page has heard of the request: it may be gone by then.
      transaction.commit();
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => resolve(undefined);
    } catch {
      // It was closed: its user has signed out in another tab.
      resolve(undefined);
    }
  });
}
