/**
 * Small charts. Each has a table for who can't see it, and shows the value that the pointer is at or that
 * the arrow keys have come to.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 */
import { html, svg } from "../../vendor/lit-html.js";
import { update } from "../update.js";

/**
 * @typedef {object} Point
 * @property {string} label what is counted there
 * @property {number} value
 * @property {string} text both, in words
 */

/**
 * @typedef {object} Shown
 * @property {string} title
 * @property {string} summary what is said while no value is chosen
 * @property {readonly Point[]} points
 * @property {readonly [string, string]} columns of the table: what the points are, and what their values are
 * @property {TemplateResult} [below] what stands below the drawing
 */

/** @typedef {(points: readonly Point[], at: number | null) => TemplateResult} Draw */

/** A chart, and which of its values is looked at. */
class Chart {
  /** @type {number | null} */
  #at = null;

  /**
   * @param {string} kind its class
   * @param {Draw} draw
   * @param {(x: number, y: number, count: number) => number} pick the value at a place, of which both are from 0 to 1
   * @param {number} rows how many values an arrow to the side passes over
   */
  constructor(kind, draw, pick, rows) {
    this.kind = kind;
    this.draw = draw;
    this.pick = pick;
    this.rows = rows;
  }

  /** @param {Shown} shown */
  render({ title, summary, points, columns, below }) {
    const last = points.length - 1;
    const at = this.#at === null || last < 0 ? null : Math.min(this.#at, last);
    const chosen = at === null ? undefined : points[at];
    return html`<figure class="chart ${this.kind}">
      <figcaption>
        <h2>${title}</h2>
        <span class="chart-value ${chosen ? "is-chosen" : ""}" aria-hidden="true">${chosen?.text ?? summary}</span>
      </figcaption>
      <div
        class="chart-field"
        role="slider"
        tabindex="0"
        aria-label=${`${title}, value by value`}
        aria-readonly="true"
        aria-valuemin="0"
        aria-valuemax=${Math.max(last, 0)}
        aria-valuenow=${at ?? Math.max(last, 0)}
        aria-valuetext=${chosen?.text ?? summary}
        @keydown=${(/** @type {KeyboardEvent} */ event) => this.#move(event, last)}
        @pointermove=${(/** @type {PointerEvent} */ event) => this.#point(event, points.length)}
        @pointerdown=${(/** @type {PointerEvent} */ event) => this.#point(event, points.length)}
        @pointerleave=${(/** @type {PointerEvent} */ event) => event.pointerType === "mouse" && this.#choose(null)}
        @blur=${() => this.#choose(null)}
      >
        ${this.draw(points, at)}
      </div>
      ${below ?? ""}
      <div class="only-read">
        <table>
          <caption>${title}: ${summary}</caption>
          <thead><tr><th scope="col">${columns[0]}</th><th scope="col">${columns[1]}</th></tr></thead>
          <tbody>${points.map(({ label, value }) => html`<tr><th scope="row">${label}</th><td>${value}</td></tr>`)}</tbody>
        </table>
      </div>
    </figure>`;
  }

  /** @param {KeyboardEvent} event @param {number} last */
  #move(event, last) {
    const at = this.#at ?? last;
    /** @type {Record<string, number>} */
    const targets = {
      ArrowLeft: at - this.rows,
      ArrowRight: this.#at === null ? last : at + this.rows,
      ArrowUp: at - 1,
      ArrowDown: at + 1,
      Home: 0,
      End: last,
    };
    const target = targets[event.key];
    if (target !== undefined) {
      event.preventDefault();
      this.#choose(Math.max(0, Math.min(last, target)));
    }
  }

  /** @param {PointerEvent} event @param {number} count */
  #point(event, count) {
    const drawing = /** @type {Element} */ (event.currentTarget).querySelector("svg");
    if (!drawing || count === 0) {
      return;
    }
    const { left, top, width, height } = drawing.getBoundingClientRect();
    const at = this.pick(within((event.clientX - left) / width), within((event.clientY - top) / height), count);
    this.#choose(Math.min(at, count - 1));
  }

  /** @param {number | null} at */
  #choose(at) {
    if (at !== this.#at) {
      this.#at = at;
      update();
    }
  }
}

/** Make a chart of bars side by side. */
export function barChart() {
  return new Chart("is-bars", drawBars, (x, _, count) => Math.floor(x * count), 1);
}

/** Make a calendar whose columns are weeks: the more, the darker. The first point begins a week. */
export function calendarChart() {
  return new Chart("is-calendar", drawCalendar, (x, y, count) => Math.floor(x * Math.ceil(count / 7)) * 7 + Math.floor(y * 7), 7);
}

/** @type {Draw} */
function drawBars(points, at) {
  const most = scaleOf(Math.max(0, ...points.map(({ value }) => value)));
  const step = 100 / Math.max(points.length, 1);
  return html`<span class="chart-scale" aria-hidden="true"><span>${most}</span><span>${most / 2}</span><span>0</span></span>
    <svg aria-hidden="true" focusable="false">
      ${[0, 50].map((y) => svg`<line class="chart-line" x1="0" x2="100%" y1="${y}%" y2="${y}%"></line>`)}
      ${points.map(({ value }, index) => {
        const height = (100 * value) / most;
        return svg`<rect
          class=${at === null ? "" : index === at ? "is-at" : "is-beside"}
          x="${(index + 0.14) * step}%" width="${0.72 * step}%" y="${100 - height}%" height="${height}%" rx="2"></rect>`;
      })}
    </svg>`;
}

const CELL = 12;
const CELL_SIZE = 10;
const SHADES = 4;

/** @type {Draw} */
function drawCalendar(points, at) {
  const most = Math.max(0, ...points.map(({ value }) => value));
  const weeks = Math.ceil(points.length / 7);
  return html`<svg aria-hidden="true" focusable="false" viewBox="0 0 ${weeks * CELL} ${7 * CELL}">
    ${points.map(({ value }, index) => {
      const shade = value === 0 ? 0 : Math.ceil((SHADES * value) / most);
      return svg`<rect
        class="shade-${shade} ${index === at ? "is-at" : ""}" rx="2.5"
        x=${Math.floor(index / 7) * CELL + 1} y=${(index % 7) * CELL + 1} width=${CELL_SIZE} height=${CELL_SIZE}></rect>`;
    })}
  </svg>`;
}

/** Return the end of a scale that begins at 0 and whose middle is a whole number. @param {number} most */
function scaleOf(most) {
  for (let power = 1; ; power *= 10) {
    const found = [2, 4, 6, 8, 10].map((each) => each * power).find((each) => each >= most);
    if (found !== undefined) {
      return found;
    }
  }
}

/** @param {number} part */
function within(part) {
  return Math.max(0, Math.min(0.999_999, part));
}
