/**
 * Lists that only administrators see, page by page.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { Page } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { Problem, query } from "../api.js";
import { dayOf, nameOfDay, timeLabel, wholeTime } from "../dates.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { say } from "../toasts.js";
import { update } from "../update.js";

const PAGE_ITEMS = 20;

/** @template Item */
export class Pages {
  /** Undefined before the first page came. @type {Item[] | undefined} */
  items = undefined;

  /** @type {Error | null} */
  error = null;

  isLoading = false;

  /** @type {string | null} */
  #cursor = null;

  /** Counts what was asked for, for answers come in any order. */
  #asked = 0;

  /** @param {string} path @param {() => Record<string, string | undefined>} filter */
  constructor(path, filter) {
    this.path = path;
    this.filter = filter;
  }

  /** Read the list from its begin, which stands for all that there was. */
  load() {
    return this.#read(null);
  }

  more() {
    return this.#read(this.#cursor);
  }

  /** @param {string | null} cursor */
  async #read(cursor) {
    this.#asked += 1;
    const asked = this.#asked;
    this.isLoading = true;
    update();
    try {
      const { body } = await session.request("GET", this.path + query({ ...this.filter(), limit: PAGE_ITEMS, cursor }));
      const page = /** @type {Page<Item>} */ (body);
      if (asked === this.#asked) {
        this.items = cursor === null ? page.items : [...(this.items ?? []), ...page.items];
        this.#cursor = page.next_cursor;
        this.error = null;
      }
    } catch (error) {
      if (asked === this.#asked) {
        this.error = /** @type {Error} */ (error);
      }
    } finally {
      if (asked === this.#asked) {
        this.isLoading = false;
        update();
      }
    }
  }

  /** @param {(item: Item) => TemplateResult} row @param {string} empty what is said where there is none */
  render(row, empty) {
    if (this.error) {
      return html`<div class="none" role="alert">
        <p>${refusal(this.error)}</p>
        <button type="button" @click=${() => this.load()}>Try again</button>
      </div>`;
    }
    if (!this.items) {
      return html`<div class="skeletons" role="status" aria-label="Loading">
        ${[60, 45, 70].map((width) => html`<div class="skeleton"><span .style=${`width: ${width}%`}></span></div>`)}
      </div>`;
    }
    return html`${this.items.length === 0 ? html`<p class="none muted">${empty}</p>` : html`<ul class="entries" role="list">${this.items.map(row)}</ul>`}
    ${this.#cursor === null
      ? nothing
      : html`<button type="button" class="wide" ?disabled=${this.isLoading} @click=${() => this.more()}>Show more</button>`}`;
  }
}

/** Have something done by the server; says what became of it. @param {() => Promise<unknown>} work @param {string} [done] */
export async function tried(work, done) {
  try {
    await work();
    if (done) {
      say(done);
    }
    return true;
  } catch (error) {
    say(refusal(/** @type {Error} */ (error)), { isError: true });
    return false;
  }
}

/** Say why something did not work. @param {Error} error */
function refusal(error) {
  if (!(error instanceof Problem)) {
    return error.message;
  }
  return error.errors[0]?.pointer === "/user_id" ? "There is no user with this id." : text.refused(error);
}

/** A moment: its day and time, and the whole of it for who asks. @param {string} at */
export function moment(at) {
  const date = new Date(at);
  return html`<time datetime=${at} title=${wholeTime(at)}>${nameOfDay(dayOf(date))} ${timeLabel(date)}</time>`;
}
