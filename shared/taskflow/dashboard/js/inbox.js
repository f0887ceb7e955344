/**
 * The inbox: what the user was told, newest first, and how much of it is unread.
 *
 * @import { Message, Notification, Page } from "./representations.js"
 */
import { Problem, query } from "./api.js";
import * as changes from "./changes.js";
import { session } from "./session.js";
import { store } from "./store.js";
import * as text from "./text.js";
import { say } from "./toasts.js";
import { update } from "./update.js";

const PAGE_NOTIFICATIONS = 50;
const UNREAD_MAX = 100;
/** How many unread ones are counted; there are more where they end. */

const KEPT_MAX = 50;

class Inbox {
  /** @type {Map<string, Notification>} */
  #known = new Map();

  /** The list as far as it was loaded, newest first. @type {string[]} */
  ids = [];

  /** Where the next page begins; null where there is none, undefined where none was loaded. @type {string | null | undefined} */
  cursor = undefined;

  /** @type {Set<string>} */
  #unread = new Set();

  #hasMoreUnread = false;

  /** What came while a page was on its way. @type {Set<string>} */
  #touched = new Set();

  /** @type {Promise<void> | null} */
  loading = null;

  /** @type {Error | null} */
  error = null;

  isStale = true;
  isReadingAll = false;

  /** Count those that are unread, for who has just come, or was away. */
  start() {
    this.isStale = true;
    void this.#count();
  }

  /** @param {string} id */
  get(id) {
    return this.#known.get(id);
  }

  /** Return what was told of a reminder and is not read, if it is known. @param {string} reminderId */
  ofReminder(reminderId) {
    return [...this.#known.values()].find((each) => each.reminder_id === reminderId && each.read_at === null);
  }

  get unread() {
    return this.#unread.size;
  }

  /** How many are unread, as it is shown. */
  get unreadLabel() {
    return `${this.#unread.size}${this.#hasMoreUnread ? "+" : ""}`;
  }

  /** Return the list, whose first page is loaded if it is new or of before. */
  list() {
    if (this.isStale && !this.loading) {
      this.#load(true);
    }
    return this.ids.flatMap((id) => this.#known.get(id) ?? []);
  }

  /** Load the next page, if there is one and it is not on its way. */
  more() {
    if (typeof this.cursor === "string" && !this.loading && !this.error) {
      this.#load(false);
    }
  }

  retry() {
    this.error = null;
    this.start();
    update();
  }

  /** @param {Message} message */
  receive({ type, data }) {
    if (type === "notification.created" || type === "notification.read") {
      const { changes: _changes, ...shown } = data;
      const notification = /** @type {Notification} */ (/** @type {unknown} */ (shown));
      this.#put(notification);
      this.#touched.add(notification.id);
      if (type === "notification.created" && this.cursor !== undefined) {
        this.#place(notification);
      }
    }
  }

  /** Mark one as read, here at once. @param {string} id */
  async read(id) {
    const notification = this.#known.get(id);
    if (!notification || notification.read_at !== null) {
      return;
    }
    this.#put({ ...notification, read_at: new Date().toISOString() });
    update();
    try {
      await changes.make({ method: "POST", path: `notifications/${id}/read`, body: null, task_id: null, becomes: {} });
    } catch (error) {
      if (!(error instanceof Problem)) {
        throw error;
      }
      // One that is gone is unread no more, either.
      if (error.status !== 404) {
        say(text.refused(error), { isError: true });
      }
    }
  }

  /** Mark all as read, those too that were not loaded. */
  async readAll() {
    this.isReadingAll = true;
    update();
    try {
      for (;;) {
        const found = await this.#unreadOnes();
        for (const { id } of found.items) {
          const { body } = await session.request("POST", `notifications/${id}/read`);
          this.#put(body);
          update();
        }
        if (found.next_cursor === null) {
          this.#hasMoreUnread = false;
          return;
        }
      }
    } catch (error) {
      say(/** @type {Error} */ (error).message, { isError: true });
    } finally {
      this.isReadingAll = false;
      update();
    }
  }

  /** Return what is to be there again after a reload, without a network too. */
  snapshot() {
    return { items: this.ids.slice(0, KEPT_MAX).flatMap((id) => this.#known.get(id) ?? []), unread: [...this.#unread] };
  }

  /** Begin with what was kept. @param {ReturnType<Inbox["snapshot"]> | undefined} kept */
  restore(kept) {
    kept?.items.forEach((each) => this.#put(each));
    this.ids = kept?.items.map(({ id }) => id) ?? [];
    this.#unread = new Set(kept?.unread);
  }

  clear() {
    this.#known.clear();
    this.#unread.clear();
    this.#touched.clear();
    this.#hasMoreUnread = false;
    this.ids = [];
    this.cursor = undefined;
    this.isStale = true;
    this.error = null;
  }

  /** Take one as it is; what was read is never unread again. @param {Notification} notification */
  #put(notification) {
    const { id } = notification;
    const readAt = this.#known.get(id)?.read_at ?? notification.read_at;
    this.#known.set(id, { ...notification, read_at: readAt });
    if (readAt === null) {
      this.#unread.add(id);
    } else {
      this.#unread.delete(id);
    }
  }

  /** @param {Notification} notification */
  #place({ id, created_at: at }) {
    if (!this.ids.includes(id)) {
      const before = this.ids.findIndex((each) => (this.#known.get(each)?.created_at ?? "") < at);
      this.ids = this.ids.toSpliced(before < 0 ? this.ids.length : before, 0, id);
    }
  }

  /** @returns {Promise<Page<Notification>>} */
  async #unreadOnes() {
    const { body } = await session.request("GET", `notifications${query({ unread: true, limit: UNREAD_MAX })}`);
    return body;
  }

  async #count() {
    this.#touched.clear();
    try {
      const { items, next_cursor: next } = await this.#unreadOnes();
      const there = new Set(items.map(({ id }) => id));
      for (const id of this.#unread) {
        if (!there.has(id) && !this.#touched.has(id)) {
          // It was read elsewhere, while nothing was heard of it.
          this.#unread.delete(id);
        }
      }
      items.forEach((each) => this.#put(each));
      this.#hasMoreUnread = next !== null;
      store.wasRead();
      update();
    } catch {
      // It is counted again as the server can be reached.
    }
  }

  /** @param {boolean} isFirst */
  #load(isFirst) {
    const load = async () => {
      this.isStale &&= !isFirst;
      try {
        const cursor = isFirst ? undefined : this.cursor;
        const { body } = await session.request("GET", `notifications${query({ limit: PAGE_NOTIFICATIONS, cursor })}`);
        const page = /** @type {Page<Notification>} */ (body);
        page.items.forEach((each) => this.#put(each));
        const ids = page.items.map(({ id }) => id);
        const before = isFirst ? [...this.#touched].flatMap((id) => this.#known.get(id) ?? []) : [];
        this.ids = isFirst ? ids : [...new Set([...this.ids, ...ids])];
        before.forEach((each) => this.#place(each));
        this.cursor = page.next_cursor;
        this.error = null;
        store.wasRead();
      } catch (error) {
        this.error = /** @type {Error} */ (error);
      } finally {
        this.loading = null;
        update();
      }
    };
    this.loading = load();
  }
}

export const inbox = new Inbox();

store.messageListeners.add((message) => inbox.receive(message));
store.refreshListeners.add(() => inbox.start());
