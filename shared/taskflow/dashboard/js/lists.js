/**
 * Lists of tasks: what is in them and in which order, as the server has it.
 *
 * @import { Page, Priority, Task } from "./representations.js"
 */
import { query } from "./api.js";

/** How many tasks the first page has, which is waited for, and how many each after it. */
export const FIRST_TASKS = 50;
export const PAGE_TASKS = 200;

/** @typedef {"created_at" | "due_date" | "priority" | "updated_at" | "title"} SortKey */

/**
 * Which tasks a list has; what is left out does not filter.
 *
 * @typedef {object} Wanted
 * @property {"tasks/recurring"} [from] where the API has it, if not at `tasks`; it is not filtered there
 * @property {readonly string[]} [status]
 * @property {readonly string[]} [priority]
 * @property {readonly string[]} [tag] all of these
 * @property {string} [due_before]
 * @property {string} [due_after]
 * @property {boolean} [recurring]
 * @property {SortKey | `-${SortKey}`} sort
 */

export const OPEN = /** @type {const} */ (["pending", "in_progress"]);

/** @type {Record<Priority, number>} */
const RANKS = { low: 0, medium: 1, high: 2, urgent: 3 };

const titles = new Intl.Collator("und");

/** Return the name by which lists that want the same are the same. @param {Wanted} wanted */
export function nameOf(wanted) {
  return query({ ...wanted });
}

/** @param {Wanted} wanted @param {Task} task */
export function isWanted(wanted, task) {
  const { status, priority, tag, due_before: before, due_after: after, recurring } = wanted;
  if (status && !status.includes(task.status)) {
    return false;
  }
  if (priority?.length && !priority.includes(task.priority)) {
    return false;
  }
  if (tag?.some((each) => !task.tags.includes(each))) {
    return false;
  }
  if (before !== undefined && !(task.due_date !== null && Date.parse(task.due_date) < Date.parse(before))) {
    return false;
  }
  if (after !== undefined && !(task.due_date !== null && Date.parse(task.due_date) > Date.parse(after))) {
    return false;
  }
  return recurring === undefined || task.is_recurring === recurring;
}

/** Return how two tasks lie in an order, as a comparison. @param {Wanted["sort"]} sort */
export function orderBy(sort) {
  const sign = sort.startsWith("-") ? -1 : 1;
  const key = /** @type {SortKey} */ (sort.replace("-", ""));
  return (/** @type {Task} */ one, /** @type {Task} */ other) => {
    if (key === "due_date" && (one.due_date === null) !== (other.due_date === null)) {
      // Those without one come last either way.
      return one.due_date === null ? 1 : -1;
    }
    return sign * (compared(key, one, other) || (one.id < other.id ? -1 : Number(one.id > other.id)));
  };
}

/** @param {SortKey} key @param {Task} one @param {Task} other */
function compared(key, one, other) {
  if (key === "title") {
    return titles.compare(one.title, other.title);
  }
  if (key === "priority") {
    return RANKS[one.priority] - RANKS[other.priority];
  }
  if (key !== "due_date" && Boolean(one.is_draft) !== Boolean(other.is_draft)) {
    // The server makes it later than all that it has made.
    return one.is_draft ? 1 : -1;
  }
  // Times are written alike, and so are in order as text.
  const [first, second] = [one[key] ?? "", other[key] ?? ""];
  return first < second ? -1 : Number(first > second);
}

/** One list, as far as it was loaded. */
export class List {
  /** In the order of the list; another array after each change. @type {readonly string[]} */
  #ids = [];

  /** The same: whether a task is in the list is asked for each list with each event. @type {Set<string>} */
  #has = new Set();

  /** What changes whenever the list does, or a task in it. */
  revision = 0;

  /** Where the next page begins; null where there is none, undefined where none was loaded. @type {string | null | undefined} */
  cursor = undefined;

  /** The last task of what was loaded, as it was then: the next page has what lies behind it. @type {Task | undefined} */
  end = undefined;

  /** @type {Promise<void> | null} */
  loading = null;

  /** @type {Error | null} */
  error = null;

  /** What was changed while a page was on its way. @type {Set<string>} */
  touched = new Set();

  /** Whether what it has is of before now: it is to be read again. */
  isStale = true;

  /** @param {Wanted} wanted */
  constructor(wanted) {
    this.wanted = wanted;
    this.order = orderBy(wanted.sort);
  }

  get ids() {
    return this.#ids;
  }

  set ids(ids) {
    this.#ids = ids;
    this.#has = new Set(ids);
    this.revision += 1;
  }

  get hasMore() {
    return this.cursor !== null;
  }

  /**
   * Put a task where it belongs, or take it out; `known` finds tasks by their ids.
   *
   * @param {string} id
   * @param {Task | undefined} task undefined where there is none any more
   * @param {(id: string) => Task | undefined} known
   */
  place(id, task, known) {
    const isIn = this.#has.has(id);
    const isToBe = task !== undefined && isWanted(this.wanted, task);
    if (!isIn && !isToBe) {
      return;
    }
    this.revision += 1;
    const at = isIn ? this.#ids.indexOf(id) : -1;
    if (isIn && isToBe && this.#isRight(at, task, known)) {
      return;
    }
    const others = isIn ? this.#ids.toSpliced(at, 1) : this.#ids;
    const before = isToBe ? this.#before(others, task, known) : -1;
    // What lies behind all that was loaded comes with its page.
    if (!isToBe || (before === others.length && others.length > 0 && this.#isBeyond(task))) {
      this.#ids = others;
      this.#has.delete(id);
    } else {
      this.#ids = others.toSpliced(before, 0, id);
      this.#has.add(id);
    }
  }

  /** Whether a task lies between its neighbours. @param {number} at @param {Task} task @param {(id: string) => Task | undefined} known */
  #isRight(at, task, known) {
    const [above, below] = [this.#ids[at - 1], this.#ids[at + 1]].map((id) => id && known(id));
    return (
      (at === 0 || (above && this.order(above, task) < 0)) &&
      (at === this.#ids.length - 1 ? at === 0 || !this.#isBeyond(task) : below && this.order(task, below) < 0)
    );
  }

  /** Whether a task behind all others is in a page that is to come; before the first, all is from here. @param {Task} task */
  #isBeyond(task) {
    return this.hasMore && this.end !== undefined && this.order(task, this.end) > 0;
  }

  /** Return before which place a task belongs. @param {readonly string[]} ids @param {Task} task @param {(id: string) => Task | undefined} known */
  #before(ids, task, known) {
    let [low, high] = [0, ids.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const there = known(/** @type {string} */ (ids[middle]));
      if (there && this.order(there, task) < 0) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }

  /** Take a page; the first one stands for all that there was. @param {Page<Task>} page @param {boolean} isFirst */
  take(page, isFirst) {
    // What was moved while several pages were read may be in two of them.
    const ids = [...new Set(page.items.map((task) => task.id))];
    this.ids = isFirst ? ids : [...this.#ids, ...ids.filter((id) => !this.#has.has(id))];
    this.cursor = page.next_cursor;
    this.error = null;
  }
}
