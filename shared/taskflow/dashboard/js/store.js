/**
 * All that is known here of a user's tasks: as the server said, and what is changed and not sent yet.
 *
 * @import { Change, Message, Page, Settings, Task } from "./representations.js"
 * @import { Wanted } from "./lists.js"
 */
import { query } from "./api.js";
import { useZone } from "./dates.js";
import { FIRST_TASKS, List, nameOf, PAGE_TASKS } from "./lists.js";
import { session } from "./session.js";
import { update } from "./update.js";

/** How many lists are kept up to date, so that one comes back to them at once. */
const LISTS_MAX = 12;

/** How many tasks of a list are read again at once, so that one stays where one was in it. */
const READ_AGAIN_MAX = 2_000;

class Store {
  /** As the server has them. @type {Map<string, Task>} */
  #tasks = new Map();

  /** As they are shown: with what is not sent yet. @type {Map<string, Task>} */
  #shown = new Map();

  /** The versions at which tasks were deleted: an older one may still come. @type {Map<string, number>} */
  #deleted = new Map();

  /** What is to be sent, in its order. @type {Change[]} */
  #changes = [];

  /** The drafts that tasks were before they were made, by the tasks' ids. @type {Map<string, string>} */
  #drafts = new Map();

  /** The tasks that were made of drafts, by the drafts' ids. @type {Map<string, string>} */
  #made = new Map();

  /** Those that something shows. @type {Map<string, List>} */
  #lists = new Map();

  /** @type {Settings | null} */
  settings = null;

  /** The last message of the stream that is in here; null before the first. @type {number | null} */
  seq = null;

  /** Called with each message of the stream. @type {Set<(message: Message) => void>} */
  messageListeners = new Set();

  /** Called where messages were missed, and all is to be read again. @type {Set<() => void>} */
  /** Called as something was read that is to be kept. @type {Set<() => void>} */
  readListeners = new Set();

  /** Called as all that was read may be old. @type {Set<() => void>} */
  refreshListeners = new Set();

  /** Return a task; that of a draft which has been made is known by the draft's id too. @param {string} id */
  task(id) {
    // What is on the screen may be of the frame before.
    return this.#shown.get(this.idOf(id)) ?? this.#shown.get(id);
  }

  /** Return the version that the server has of a task: its entity tag. @param {string} id */
  versionOf(id) {
    return this.#tasks.get(id)?.version;
  }

  get tasks() {
    return this.#shown;
  }

  get changes() {
    return this.#changes;
  }

  /** Return by what a task is known for as long as it is shown: that of its draft, if it was one. @param {string} id */
  keyOf(id) {
    return this.#drafts.get(id) ?? id;
  }

  /** Return the id of a task, which may have been a draft when it was asked for. @param {string} id */
  idOf(id) {
    return this.#made.get(id) ?? id;
  }

  /** Take a task for what has become of a draft, which goes. @param {string} id @param {string} draft */
  becameOf(id, draft) {
    this.#drafts.set(id, draft);
    this.#made.set(draft, id);
    this.#show(draft);
  }

  /** Whether a change of a task waits to be sent. @param {string} id */
  isWaiting(id) {
    return this.#changes.some((change) => change.task_id === id);
  }

  /** Take a task as the server has it; an older one than is known is passed over. @param {Task} task */
  put(task) {
    const known = this.#tasks.get(task.id)?.version ?? 0;
    const gone = this.#deleted.get(task.id) ?? 0;
    if (task.version < known || task.version <= gone) {
      return;
    }
    this.#tasks.set(task.id, task);
    // Lists that are read again mostly have what is known.
    if (task.version !== known || !this.#shown.has(task.id)) {
      this.#show(task.id);
    }
  }

  /** Take a task that was brought back. @param {Task} task */
  bringBack(task) {
    this.#deleted.delete(task.id);
    this.put(task);
  }

  /** Take a task out that the server has no more. @param {string} id @param {number} version */
  remove(id, version) {
    this.#deleted.set(id, Math.max(version, this.#deleted.get(id) ?? 0));
    this.#tasks.delete(id);
    this.#show(id);
  }

  /** Take what is to be sent; tasks are shown as if it were. @param {Change[]} changes */
  setChanges(changes) {
    const ids = new Set([...this.#changes, ...changes].map((change) => change.task_id));
    this.#changes = changes;
    ids.forEach((id) => id !== null && this.#show(id));
    update();
  }

  /** Return a list, which is loaded if it is new, and read again if it is of before. @param {Wanted} wanted */
  list(wanted) {
    const name = nameOf(wanted);
    let list = this.#lists.get(name);
    if (!list) {
      list = new List(wanted);
      for (const task of this.#shown.values()) {
        if (task.is_draft) {
          list.place(task.id, task, (id) => this.#shown.get(id));
        }
      }
    }
    // The last one used comes last.
    this.#lists.delete(name);
    this.#lists.set(name, list);
    const [[oldest] = [""]] = this.#lists;
    if (this.#lists.size > LISTS_MAX) {
      this.#lists.delete(oldest);
    }
    if (list.isStale && !list.loading) {
      this.#load(list, true);
    }
    return list;
  }

  /** Load the next page of a list, if there is one and it is not on its way. @param {List} list */
  more(list) {
    if (typeof list.cursor === "string" && !list.loading) {
      this.#load(list, false);
    }
  }

  /** Read those lists again that could not be read. */
  retry() {
    for (const list of this.#lists.values()) {
      list.isStale ||= list.error !== null;
    }
    update();
  }

  /** Take all lists for old: they are read again as they are shown. */
  refresh() {
    for (const list of this.#lists.values()) {
      list.isStale = true;
    }
    this.refreshListeners.forEach((listener) => listener());
    update();
  }

  /** Take a message of the stream; one that was taken before is passed over. @param {Message} message */
  receive(message) {
    if (this.seq !== null && message.seq <= this.seq) {
      return;
    }
    this.seq = message.seq;
    const { data, type } = message;
    if (type === "task.deleted") {
      this.remove(String(data["id"]), Number(data["version"]));
    } else if (/^(task|recurrence|recurring)\./.test(type)) {
      const task = taskIn(data);
      if (this.#changes.some(({ key, task_id: made }) => key === message.correlation_id && key === made)) {
        this.becameOf(task.id, message.correlation_id);
      }
      if (type === "task.restored") {
        this.bringBack(task);
      } else {
        this.put(task);
      }
    } else if (type === "user.settings_changed") {
      this.takeSettings(/** @type {Settings} */ (/** @type {unknown} */ (data)));
    }
    this.messageListeners.forEach((listener) => listener(message));
    update();
  }

  /** @param {Settings} settings */
  takeSettings(settings) {
    this.settings = settings;
    if (settings.timezone !== session.user?.timezone) {
      useZone(settings.timezone);
      session.changeZone(settings.timezone);
    }
    this.wasRead();
    update();
  }

  /** Return what is to be there again after a reload, without a network too. */
  snapshot() {
    const lists = [...this.#lists.values()].map(({ wanted, ids }) => ({ wanted, ids: ids.slice(0, 200) }));
    const ids = new Set(lists.flatMap((list) => list.ids));
    const tasks = [...ids].flatMap((id) => this.#tasks.get(id) ?? []);
    return { seq: this.seq, settings: this.settings, lists, tasks };
  }

  /** Begin with what was kept. @param {ReturnType<Store["snapshot"]>} kept */
  restore(kept) {
    this.seq = kept.seq;
    this.settings = kept.settings;
    kept.tasks.forEach((task) => this.#tasks.set(task.id, task));
    kept.tasks.forEach((task) => this.#shown.set(task.id, task));
    for (const { wanted, ids } of kept.lists) {
      const list = new List(wanted);
      list.ids = ids.filter((id) => this.#tasks.has(id));
      this.#lists.set(nameOf(wanted), list);
    }
  }

  /** Say that something was read that is to be kept. */
  wasRead() {
    this.readListeners.forEach((listener) => listener());
  }

  /** Forget all of a user. */
  clear() {
    this.#tasks.clear();
    this.#shown.clear();
    this.#deleted.clear();
    this.#lists.clear();
    this.#drafts.clear();
    this.#made.clear();
    this.#changes = [];
    this.settings = null;
    this.seq = null;
  }

  /** @param {List} list @param {boolean} isFirst */
  #load(list, isFirst) {
    const load = async () => {
      // Of one that was only kept, the first page is waited for.
      const wasRead = list.cursor === undefined ? 0 : Math.min(list.ids.length, READ_AGAIN_MAX);
      list.isStale &&= !isFirst;
      list.touched.clear();
      try {
        const page = isFirst
          ? await this.#page(list, undefined, FIRST_TASKS)
          : await this.#page(list, list.cursor, PAGE_TASKS);
        while (isFirst && page.next_cursor !== null && page.items.length < wasRead) {
          const next = await this.#page(list, page.next_cursor, PAGE_TASKS);
          page.items.push(...next.items);
          page.next_cursor = next.next_cursor;
        }
        list.end = page.items.at(-1);
        // What was changed while the page was on its way is newer than it.
        const touched = new Set(list.touched);
        this.#changes.forEach(({ task_id: id }) => id !== null && touched.add(id));
        page.items.forEach((task) => this.put(task));
        list.take({ ...page, items: page.items.filter((task) => this.#shown.has(task.id)) }, isFirst);
        const known = (/** @type {string} */ id) => this.#shown.get(id);
        touched.forEach((id) => list.place(id, known(id), known));
        list.touched.forEach((id) => list.place(id, known(id), known));
        this.wasRead();
      } catch (error) {
        list.error = /** @type {Error} */ (error);
      } finally {
        list.loading = null;
        update();
      }
    };
    list.loading = load();
  }

  /** @param {List} list @param {string | null | undefined} cursor @param {number} limit @returns {Promise<Page<Task>>} */
  async #page({ wanted }, cursor, limit) {
    const { from = "tasks", ...filter } = wanted;
    const path = `${from}${query({ ...(from === "tasks" ? filter : {}), limit, cursor })}`;
    const { body } = await session.request("GET", path);
    return body;
  }

  /** Show a task as it is with what is to be sent. @param {string} id */
  #show(id) {
    const task = this.#changes
      .filter((change) => change.task_id === id)
      .reduce(
        withChange,
        this.#tasks.get(id) ?? (this.#made.has(id) ? undefined : draftOf(id, this.#changes)),
      );
    if (task) {
      this.#shown.set(id, task);
    } else {
      this.#shown.delete(id);
    }
    const known = (/** @type {string} */ each) => this.#shown.get(each);
    for (const list of this.#lists.values()) {
      if (list.loading) {
        list.touched.add(id);
      }
      list.place(id, task, known);
    }
    update();
  }
}

export const store = new Store();

/** Return what a change makes of a task, which it may bring back. @param {Task | undefined} task @param {Change} change @returns {Task | undefined} */
function withChange(task, { becomes }) {
  if (becomes === null) {
    return undefined;
  }
  return task || "id" in becomes ? /** @type {Task} */ ({ ...task, ...becomes }) : undefined;
}

/** @param {string} id @param {Change[]} changes @returns {Task | undefined} */
function draftOf(id, changes) {
  const made = changes.find((change) => change.key === id);
  if (!made) {
    return undefined;
  }
  const now = new Date().toISOString();
  return {
    id,
    user_id: session.user?.id ?? "",
    title: "",
    description: null,
    status: "pending",
    completed: false,
    priority: "medium",
    tags: [],
    metadata: {},
    due_date: null,
    recurrence_rule: null,
    is_recurring: false,
    next_occurrence: null,
    completed_at: null,
    created_at: now,
    updated_at: now,
    version: 0,
    recurring_task_id: null,
    occurrence_at: null,
    is_draft: true,
  };
}

/** Return the task in the data of an event, which may say more. @param {Record<string, unknown>} data */
function taskIn(data) {
  const { changes: _changes, occurrence: _occurrence, series: _series, ...task } = data;
  return /** @type {Task} */ (/** @type {unknown} */ (task));
}
