/**
 * Searching: as one types, and by the address, so that what was found is there again after a reload.
 *
 * @import { FoundTask, Page, Task } from "../representations.js"
 * @import { Location, View } from "../places.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { live as asTyped } from "../../vendor/directives/live.js";
import { query as written, Unreachable } from "../api.js";
import { FIRST_TASKS, PAGE_TASKS } from "../lists.js";
import { live } from "../live.js";
import { icon } from "../parts/icons.js";
import { marked, textOf } from "../parts/marks.js";
import { Rows } from "../parts/rows.js";
import { router } from "../router.js";
import { session } from "../session.js";
import { store } from "../store.js";
import { update } from "../update.js";

const QUERY_MAX_CHARS = 255;
const ASK_AFTER_MS = 80;
const KNOWN_MAX = 200;

/** What was found for one query, as far as it was loaded. */
class Found {
  /** @type {string[]} */
  ids = [];

  /** Where the tasks match. @type {Map<string, FoundTask["highlights"]>} */
  highlights = new Map();

  /** Where the next page begins; undefined where none was loaded. @type {string | null | undefined} */
  cursor = undefined;

  isLoading = false;

  /** @type {Error | null} */
  error = null;

  #asking = new AbortController();

  /** @param {string} q */
  constructor(q) {
    this.q = q;
  }

  /** Load the next page, if there is one and it is not on its way. */
  async more() {
    if (this.isLoading || this.cursor === null || this.error) {
      return;
    }
    this.isLoading = true;
    try {
      const limit = this.cursor === undefined ? FIRST_TASKS : PAGE_TASKS;
      const { signal } = this.#asking;
      const { body } = await session.request("GET", `search${written({ q: this.q, limit, cursor: this.cursor })}`, { signal });
      this.#take(/** @type {Page<FoundTask>} */ (body));
    } catch (error) {
      if (this.#asking.signal.aborted) {
        return;
      }
      this.error = /** @type {Error} */ (error);
      if (error instanceof Unreachable && this.cursor === undefined) {
        this.ids = amongKnown(this.q);
      }
    }
    this.isLoading = false;
    update();
  }

  /** Give it up: another query is asked. */
  end() {
    this.#asking.abort();
  }

  /** @param {Page<FoundTask>} page */
  #take({ items, next_cursor: cursor }) {
    const known = new Set(this.ids);
    for (const { highlights, ...task } of items) {
      this.highlights.set(task.id, highlights);
      store.put(task);
    }
    this.ids = [...this.ids, ...items.map((task) => task.id).filter((id) => !known.has(id))];
    this.cursor = cursor;
    update();
  }
}

/** @param {Location} location @returns {View} */
export function makeView({ query }) {
  let typed = query.get("q") ?? "";

  /** What is shown: the last query that was answered. @type {Found | null} */
  let found = null;

  /** What is asked. @type {Found | null} */
  let asked = null;

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  const rows = new Rows({ atEnd: () => void found?.more() });

  async function ask() {
    clearTimeout(timer);
    asked?.end();
    const q = typed.trim();
    asked = q === "" ? null : new Found(q);
    if (!asked) {
      found = null;
      update();
      return;
    }
    const mine = asked;
    await mine.more();
    if (asked === mine) {
      // What was found before stays until there is something else: nothing flickers.
      found = mine;
      update();
    }
  }

  /** @param {Event} event */
  function type(event) {
    typed = /** @type {HTMLInputElement} */ (event.target).value;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const q = typed.trim();
      router.go(q === "" ? "/search" : `/search?q=${encodeURIComponent(q)}`, { replace: true });
    }, ASK_AFTER_MS);
    update();
  }

  const again = () => void (found?.error && ask());
  live.backListeners.add(again);
  void ask();
  return {
    title: () => (typed.trim() === "" ? "Search" : `${typed.trim()} – Search`),
    render() {
      const shown = (found?.ids ?? []).filter((id) => store.task(id));
      return html`<main id="content">
        <header class="view-head"><h1 tabindex="-1" class="only-read">Search</h1>
          <search class="search-field">
            ${icon("search")}
            <input type="search" aria-label="Search" placeholder="Search titles, tags and descriptions" autofocus
              maxlength=${QUERY_MAX_CHARS} dir="auto" autocomplete="off" spellcheck="false" enterkeyhint="search"
              .value=${asTyped(typed)} @input=${type} @keydown=${toRows}>
          </search>
        </header>
        <p class="only-read" role="status">${said()}</p>
        ${rows.render(
          shown.length > 0 && found
            ? [{ key: `found ${found.q}`, ids: shown, marked: (task) => marksOf(task) }]
            : [],
        )}
        ${below(shown.length)}
      </main>`;
    },
    moved(location) {
      const q = location.query.get("q") ?? "";
      if (q !== typed.trim()) {
        typed = q;
      }
      if (q !== (asked?.q ?? "")) {
        void ask();
      }
    },
    left() {
      clearTimeout(timer);
      asked?.end();
      live.backListeners.delete(again);
      rows.stop();
    },
  };

  /** @param {Task} task */
  function marksOf(task) {
    const highlights = found?.highlights.get(task.id);
    if (!highlights) {
      return {};
    }
    const { title, description } = highlights;
    return {
      // What was changed since is shown as it is now.
      ...(title !== undefined && textOf(title) === task.title ? { title: marked(title) } : {}),
      ...(description !== undefined ? { detail: html`<span class="task-excerpt" dir="auto">${marked(description)}</span>` } : {}),
    };
  }

  /** What was found, for who does not see it. */
  function said() {
    if (!found || found.error) {
      return "";
    }
    const count = `${found.ids.length}${found.cursor ? " or more" : ""}`;
    return found.ids.length === 0 ? "Nothing found" : `${count} found`;
  }

  /** @param {number} count */
  function below(count) {
    if (found?.error && !(found.error instanceof Unreachable && count > 0)) {
      return html`<div class="empty" role="alert">
        <p>${found.error.message}</p>
        <button type="button" @click=${ask}>Try again</button>
      </div>`;
    }
    if (found?.error) {
      return html`<p class="loading">${found.error.message} These are of what is known here.</p>`;
    }
    if (count > 0) {
      return found?.cursor ? html`<p class="loading">Loading more…</p>` : nothing;
    }
    if (asked && asked !== found) {
      return nothing;
    }
    return found
      ? html`<div class="empty"><span class="empty-icon">${icon("search")}</span>
          <p>Nothing found for <bdi>“${found.q}”</bdi>.</p>
          <p class="muted">Words are found by their beginnings. “-word” leaves out what has it.</p></div>`
      : html`<div class="empty"><span class="empty-icon">${icon("search")}</span>
          <p>Find any task by its words.</p>
          <p class="muted">Beginnings of words will do, in any order; <code>"side by side"</code> or <code>-without</code> narrow it.</p></div>`;
  }
}

/** Go on to what was found. @param {KeyboardEvent} event */
function toRows(event) {
  if ((event.key === "ArrowDown" || event.key === "Enter") && !event.isComposing) {
    const first = /** @type {HTMLElement | null} */ (document.querySelector("main .task-link"));
    if (first) {
      event.preventDefault();
      first.focus();
    }
  }
}

/** Return those of the tasks that are known here that have all words: the server can't be asked. @param {string} q */
function amongKnown(q) {
  const words = q.toLowerCase().split(/\s+/);
  const ids = [];
  for (const { id, title, description, tags } of store.tasks.values()) {
    const all = [title, description ?? "", ...tags].join(" ").toLowerCase();
    if (ids.length < KNOWN_MAX && words.every((word) => all.includes(word))) {
      ids.push(id);
    }
  }
  return ids;
}
