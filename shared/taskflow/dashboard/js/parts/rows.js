/**
 * Rows of tasks, of which only those near the screen are in the document: a hundred thousand cost what a
 * hundred do.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { createRef, ref } from "../../vendor/directives/ref.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { store } from "../store.js";
import { afterRender, update } from "../update.js";
import { taskRow } from "./task-row.js";

const BLOCK_TASKS = 30;
const ROW_PX = 53;
const HEADING_PX = 49;
/** What is not measured yet is taken to be so high. */

/**
 * @typedef {object} Section
 * @property {string} key
 * @property {string} [title]
 * @property {string} [detail] beside the title
 * @property {string} [kind] its class
 * @property {readonly string[]} ids
 * @property {boolean} [isDated] whether the title says the day, so that the rows need not
 */

/** @typedef {{ key: string, section: Section, ids: readonly string[], from: number }} Block */

export class Rows {
  #container = createRef();

  /** @type {Map<string, number>} */
  #heights = new Map();

  /** @type {Block[]} */
  #blocks = [];

  #first = 0;
  #last = 0;

  /** @type {() => void} */
  #stop;

  /** @param {{ atEnd?: () => void }} [options] `atEnd` is called as the last rows come near */
  constructor({ atEnd = () => {} } = {}) {
    this.atEnd = atEnd;
    const scrolled = () => {
      const [first, last] = this.#near();
      if (first !== this.#first || last !== this.#last) {
        update();
      }
    };
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", scrolled, { passive: true });
    const stopMeasuring = afterRender(() => this.#measure());
    this.#stop = () => {
      removeEventListener("scroll", scrolled);
      removeEventListener("resize", scrolled);
      stopMeasuring();
    };
  }

  /** End it, with the view that shows it. */
  stop() {
    this.#stop();
  }

  /** @param {Section[]} sections @returns {TemplateResult} */
  render(sections) {
    this.#blocks = sections.flatMap(blocksOf);
    [this.#first, this.#last] = this.#near();
    const shown = this.#blocks.slice(this.#first, this.#last + 1);
    const above = this.#heightOf(0, this.#first);
    const below = this.#heightOf(this.#last + 1, this.#blocks.length);
    return html`<div class="rows" ${ref(this.#container)}>
      <div .style=${`height: ${above}px`}></div>
      ${repeat(shown, (block) => block.key, blockTemplate)}
      <div .style=${`height: ${below}px`}></div>
    </div>`;
  }

  /** Return the first and the last block that are near the screen. @returns {[number, number]} */
  #near() {
    const container = /** @type {HTMLElement | undefined} */ (this.#container.value);
    const top = container ? container.getBoundingClientRect().top : 0;
    const [from, to] = [-top - innerHeight, -top + 2 * innerHeight];
    let first = 0;
    let last = 0;
    let height = 0;
    this.#blocks.forEach((block, at) => {
      if (height < from) {
        first = at;
      }
      if (height <= to) {
        last = at;
      }
      height += this.#heights.get(block.key) ?? estimated(block);
    });
    return [first, last];
  }

  /** @param {number} from @param {number} to */
  #heightOf(from, to) {
    return this.#blocks
      .slice(from, to)
      .reduce((sum, block) => sum + (this.#heights.get(block.key) ?? estimated(block)), 0);
  }

  #measure() {
    const container = /** @type {HTMLElement | undefined} */ (this.#container.value);
    if (!container?.isConnected) {
      return;
    }
    container.querySelectorAll(".block").forEach((element, at) => {
      const block = this.#blocks[this.#first + at];
      if (block) {
        this.#heights.set(block.key, /** @type {HTMLElement} */ (element).offsetHeight);
      }
    });
    if (this.#last === this.#blocks.length - 1) {
      this.atEnd();
    }
  }
}

/** @param {Section} section @returns {Block[]} */
function blocksOf(section) {
  const count = Math.max(1, Math.ceil(section.ids.length / BLOCK_TASKS));
  return Array.from({ length: count }, (_, at) => ({
    key: `${section.key} ${at}`,
    section,
    ids: section.ids.slice(at * BLOCK_TASKS, (at + 1) * BLOCK_TASKS),
    from: at * BLOCK_TASKS,
  }));
}

/** @param {Block} block */
function estimated({ section, ids, from }) {
  return ids.length * ROW_PX + (section.title && from === 0 ? HEADING_PX : 0);
}

/** @param {Block} block */
function blockTemplate({ section, ids, from }) {
  const tasks = ids.flatMap((id) => store.task(id) ?? []);
  return html`<div class="block ${section.kind ?? ""}">
    ${section.title && from === 0
      ? html`<h2 class="section-title">${section.title}${section.detail ? html` <small>${section.detail}</small>` : nothing}</h2>`
      : nothing}
    <ul class="tasks" role="list">
      ${repeat(
        tasks,
        (task) => store.keyOf(task.id),
        (task, at) =>
          taskRow(/** @type {Task} */ (task), {
            isDated: section.isDated ?? false,
            position: from + at + 1,
            count: section.ids.length,
          }),
      )}
    </ul>
  </div>`;
}
