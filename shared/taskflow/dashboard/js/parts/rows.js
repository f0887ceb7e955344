/**
 * Rows of tasks, of which only those near the screen are in the document: a hundred thousand cost what a
 * hundred do.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { Task } from "../representations.js"
 * @import { Shows } from "./task-row.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { createRef, ref } from "../../vendor/directives/ref.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { store } from "../store.js";
import { afterRender, update } from "../update.js";
import { taskRow } from "./task-row.js";

const BLOCK_TASKS = 10;
const ROW_PX = 53;
const HEADING_PX = 49;
const DRAGGED = "application/x-taskflow-task";
/** What is not measured yet is taken to be so high. */

/**
 * @typedef {object} Section
 * @property {string} key
 * @property {string} [title]
 * @property {string} [detail] beside the title
 * @property {string} [kind] its class
 * @property {readonly string[]} ids
 * @property {boolean} [isDated] whether the title says the day, so that the rows need not
 * @property {string} [day] what is dropped on it is moved there
 * @property {() => TemplateResult} [tool] at the end of the title
 * @property {Shows} [shows] what a row says of its task
 * @property {(task: Task) => { title?: unknown, detail?: unknown }} [marked] the title with its marks, and what is below it
 */

/**
 * Some tasks that follow each other in a section.
 *
 * @typedef {object} Block
 * @property {string} key
 * @property {{ section: Section }} of shared by the blocks of a section, for as long as its ids are the same
 * @property {readonly string[]} ids
 * @property {number} from
 * @property {number} height
 */

export class Rows {
  #container = createRef();

  /** @type {Map<string, number>} */
  #heights = new Map();

  /** @type {Block[]} */
  #blocks = [];

  /** The blocks of each section, as they were rendered last. @type {Map<string, Block[]>} */
  #bySection = new Map();

  #first = 0;
  #last = 0;

  /** @type {((id: string, section: Section) => void) | undefined} */
  #dropped;

  /** The block that something is drawn over. @type {HTMLElement | null} */
  #target = null;

  /** @type {() => void} */
  #stop;

  /**
   * @param {object} [options]
   * @param {() => void} [options.atEnd] called as the last rows come near
   * @param {(id: string, section: Section) => void} [options.dropped] called with a task that was drawn to another section
   */
  constructor({ atEnd = () => {}, dropped } = {}) {
    this.atEnd = atEnd;
    this.#dropped = dropped;
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
    this.#bySection = new Map(sections.map((section) => [section.key, this.#blocksOf(section)]));
    this.#blocks = [...this.#bySection.values()].flat();
    [this.#first, this.#last] = this.#near();
    const shown = this.#blocks.slice(this.#first, this.#last + 1);
    const above = this.#heightOf(0, this.#first);
    const below = this.#heightOf(this.#last + 1, this.#blocks.length);
    const isDrawn = this.#dropped !== undefined && matchMedia("(hover: hover) and (pointer: fine)").matches;
    return html`<div
      class="rows"
      ${ref(this.#container)}
      @dragstart=${isDrawn ? this.#draw : nothing}
      @dragover=${isDrawn ? this.#over : nothing}
      @dragleave=${isDrawn ? this.#over : nothing}
      @drop=${isDrawn ? this.#drop : nothing}
      @dragend=${isDrawn ? this.#drawn : nothing}
    >
      <div .style=${`height: ${above}px`}></div>
      ${repeat(
        shown,
        (block) => block.key,
        (block) => blockTemplate(block, isDrawn),
      )}
      <div .style=${`height: ${below}px`}></div>
    </div>`;
  }

  /** @param {DragEvent} event */
  #draw = (event) => {
    const row = /** @type {Element} */ (event.target).closest?.("[data-task]");
    if (row && event.dataTransfer) {
      event.dataTransfer.setData(DRAGGED, row.getAttribute("data-task") ?? "");
      event.dataTransfer.effectAllowed = "move";
      row.toggleAttribute("data-drawn", true);
    }
  };

  /** @param {DragEvent} event */
  #over = (event) => {
    const block = /** @type {HTMLElement | null} */ (/** @type {Element} */ (event.target).closest?.("[data-section]"));
    const isTask = event.dataTransfer?.types.includes(DRAGGED) ?? false;
    const target = isTask && event.type === "dragover" && this.#sectionOf(block)?.day !== undefined ? block : null;
    if (target) {
      event.preventDefault();
    }
    this.#aim(target);
  };

  /** @param {DragEvent} event */
  #drop = (event) => {
    event.preventDefault();
    const section = this.#sectionOf(this.#target);
    const id = event.dataTransfer?.getData(DRAGGED);
    this.#drawn();
    if (section && id) {
      this.#dropped?.(id, section);
    }
  };

  #drawn = () => {
    this.#aim(null);
    document.querySelector("[data-drawn]")?.toggleAttribute("data-drawn", false);
  };

  /** @param {HTMLElement | null} block */
  #aim(block) {
    if (block !== this.#target) {
      this.#target?.toggleAttribute("data-over", false);
      block?.toggleAttribute("data-over", true);
      this.#target = block;
    }
  }

  /** @param {HTMLElement | null} block */
  #sectionOf(block) {
    const key = block?.dataset["section"];
    return this.#bySection.get(key ?? "")?.[0]?.of.section;
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
      height += block.height;
    });
    return [first, last];
  }

  /** @param {Section} section @returns {Block[]} */
  #blocksOf(section) {
    const before = this.#bySection.get(section.key);
    const of = before?.[0]?.of;
    if (before && of && of.section.ids === section.ids) {
      of.section = section;
      return before;
    }
    const shared = { section };
    return Array.from({ length: Math.max(1, Math.ceil(section.ids.length / BLOCK_TASKS)) }, (_, at) => {
      const from = at * BLOCK_TASKS;
      const ids = section.ids.slice(from, from + BLOCK_TASKS);
      const key = `${section.key} ${at}`;
      return { key, of: shared, ids, from, height: this.#heights.get(key) ?? estimated(section, ids, from) };
    });
  }

  /** @param {number} from @param {number} to */
  #heightOf(from, to) {
    return this.#blocks
      .slice(from, to)
      .reduce((sum, block) => sum + block.height, 0);
  }

  #measure() {
    const container = /** @type {HTMLElement | undefined} */ (this.#container.value);
    if (!container?.isConnected) {
      return;
    }
    container.querySelectorAll(".block").forEach((element, at) => {
      const block = this.#blocks[this.#first + at];
      if (block) {
        block.height = /** @type {HTMLElement} */ (element).offsetHeight;
        this.#heights.set(block.key, block.height);
      }
    });
    if (this.#last === this.#blocks.length - 1) {
      this.atEnd();
    }
  }
}

/** @param {Section} section @param {readonly string[]} ids @param {number} from */
function estimated({ title }, ids, from) {
  return ids.length * ROW_PX + (title && from === 0 ? HEADING_PX : 0);
}

/** @param {Block} block @param {boolean} isDrawn */
function blockTemplate({ of: { section }, ids, from }, isDrawn) {
  const tasks = ids.flatMap((id) => store.task(id) ?? []);
  return html`<div class="block ${section.kind ?? ""}" data-section=${section.key}>
    ${section.title && from === 0
      ? html`<h2 class="section-title">${section.title}${section.detail ? html` <small>${section.detail}</small>` : nothing}${section.tool?.() ?? nothing}</h2>`
      : nothing}
    ${tasks.length === 0
      ? nothing
      : html`<ul class="tasks" role="list">
          ${repeat(
            tasks,
            (task) => store.keyOf(task.id),
            (task, at) =>
              taskRow(/** @type {Task} */ (task), {
                isDated: section.isDated ?? false,
                position: from + at + 1,
                count: section.ids.length,
                shows: section.shows ?? "due",
                isDrawn,
                ...section.marked?.(/** @type {Task} */ (task)),
              }),
          )}
        </ul>`}
  </div>`;
}
