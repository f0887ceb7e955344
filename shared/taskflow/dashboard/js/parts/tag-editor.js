/**
 * The tags of a task: each can be taken away, and more are added by name; the user's own are suggested.
 *
 * @import { Task } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import * as changes from "../changes.js";
import { store } from "../store.js";
import { openTags, pathOfTag } from "../tags.js";
import { update } from "../update.js";
import { icon } from "./icons.js";

const TAG_MAX_CHARS = 64;
const TAGS_MAX = 50;
const SUGGESTED_MAX = 7;

export class TagEditor {
  #typed = "";

  /** Whether suggestions are shown: while somebody is at it. */
  #isOpen = false;

  /** Which suggestion is chosen, −1 for what is typed. */
  #at = -1;

  /** @param {Task} task */
  render(task) {
    const suggested = this.#isOpen ? this.#suggested(task) : [];
    const chosen = suggested[this.#at];
    return html`<div class="tags value">
      ${repeat(task.tags, (tag) => tag, (tag) => html`<span class="chip" data-kind="tag"><a href=${pathOfTag(tag)} dir="auto">${tag}</a>
        <button type="button" aria-label=${`Remove the tag ${tag}`} @click=${() => this.#remove(task, tag)}>${icon("close")}</button></span>`)}
      ${task.tags.length >= TAGS_MAX
        ? nothing
        : html`<span class="combo">
            <input
              name="tag"
              class="plain"
              role="combobox"
              aria-label="Add a tag"
              aria-expanded=${suggested.length > 0}
              aria-controls="tag-suggestions"
              aria-activedescendant=${chosen === undefined ? nothing : `tag-suggestion-${this.#at}`}
              aria-autocomplete="list"
              autocomplete="off"
              autocapitalize="none"
              dir="auto"
              maxlength=${TAG_MAX_CHARS}
              placeholder="Add a tag"
              .value=${this.#typed}
              @input=${(/** @type {InputEvent} */ event) => this.#input(event)}
              @focus=${() => this.#open(true)}
              @blur=${() => this.#leave(task)}
              @keydown=${(/** @type {KeyboardEvent} */ event) => this.#key(event, task, suggested)}
            >
            <ul class="suggestions" id="tag-suggestions" role="listbox" aria-label="Your tags" ?hidden=${suggested.length === 0}>
              ${suggested.map((tag, at) => html`<li
                  role="option"
                  id=${`tag-suggestion-${at}`}
                  aria-selected=${at === this.#at ? "true" : "false"}
                  dir="auto"
                  @pointerdown=${(/** @type {Event} */ event) => {
                    event.preventDefault();
                    this.#add(task, tag);
                  }}
                >${tag}</li>`)}
            </ul>
          </span>`}
    </div>`;
  }

  /** Return the tags of other tasks that what is typed may mean, those of most tasks first. @param {Task} task */
  #suggested(task) {
    const begun = this.#typed.trim().replace(/^#/, "").toLowerCase();
    const isBegun = (/** @type {string} */ tag) => Number(tag.toLowerCase().startsWith(begun));
    const known = new Set([...openTags().map(({ tag }) => tag), ...[...store.tasks.values()].flatMap(({ tags }) => tags)]);
    return [...known]
      .filter((tag) => tag.toLowerCase().includes(begun) && !task.tags.includes(tag))
      .sort((one, other) => isBegun(other) - isBegun(one))
      .slice(0, SUGGESTED_MAX);
  }

  /** @param {boolean} isOpen */
  #open(isOpen) {
    this.#isOpen = isOpen;
    this.#at = -1;
    update();
  }

  /** @param {InputEvent} event */
  #input(event) {
    this.#typed = /** @type {HTMLInputElement} */ (event.target).value;
    this.#open(true);
  }

  /** @param {KeyboardEvent} event @param {Task} task @param {string[]} suggested */
  #key(event, task, suggested) {
    if (event.isComposing) {
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && suggested.length > 0) {
      event.preventDefault();
      this.#at = ((this.#at + 1 + step + suggested.length + 1) % (suggested.length + 1)) - 1;
      update();
    } else if (event.key === "Enter" || (event.key === "," && this.#typed.trim() !== "")) {
      event.preventDefault();
      this.#add(task, suggested[this.#at] ?? this.#typed);
    } else if (event.key === "Escape") {
      event.preventDefault();
      this.#typed = "";
      this.#open(false);
      /** @type {HTMLElement | null} */ (document.querySelector(".task-panel"))?.focus({ preventScroll: true });
    } else if (event.key === "Backspace" && this.#typed === "" && task.tags.length > 0) {
      this.#remove(task, task.tags.at(-1) ?? "");
    }
  }

  /** What was typed is not lost by leaving it. @param {Task} task */
  #leave(task) {
    this.#add(task, this.#typed);
    this.#open(false);
  }

  /** @param {Task} task @param {string} typed */
  #add(task, typed) {
    const tag = typed.trim().replace(/^#/, "").trim();
    this.#typed = "";
    this.#open(true);
    const now = store.task(store.idOf(task.id)) ?? task;
    if (tag !== "" && !now.tags.includes(tag)) {
      void changes.edit(now, { tags: [...now.tags, tag] }, `Tagged “${tag}”`);
    }
  }

  /** @param {Task} task @param {string} tag */
  #remove(task, tag) {
    void changes.edit(task, { tags: task.tags.filter((each) => each !== tag) }, `Removed the tag “${tag}”`);
    /** @type {HTMLElement | null} */ (document.querySelector(".task-panel [name=tag]"))?.focus();
  }
}
