/**
 * Something that a form asks of the server: that it is under way, and what was refused of it, at its field.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { Problem, Unreachable } from "../api.js";
import { update } from "../update.js";

export class Attempt {
  #underWay = 0;

  /** @type {Promise<unknown>} */
  #before = Promise.resolve();

  /** @type {Problem | Unreachable | null} */
  #refusal = null;

  /** Which fields show what is said of them. @type {readonly string[]} */
  #pointers;

  /** @param {readonly string[]} pointers those of the fields that show what is refused of them */
  constructor(...pointers) {
    this.#pointers = pointers;
  }

  /**
   * Do it, after what was asked for before; say whether it was done.
   *
   * @param {() => Promise<unknown>} work
   */
  async run(work) {
    this.#underWay += 1;
    update();
    const done = this.#before.then(() => {
      this.#refusal = null;
      return work();
    });
    this.#before = done.catch(() => {});
    try {
      await done;
      return true;
    } catch (error) {
      if (!(error instanceof Problem || error instanceof Unreachable)) {
        throw error;
      }
      this.#refusal = error;
      return false;
    } finally {
      this.#underWay -= 1;
      update();
    }
  }

  get isBusy() {
    return this.#underWay > 0;
  }

  forget() {
    this.#refusal = null;
  }

  /** The kind of the problem; "" where there is none. */
  get kind() {
    return this.#refusal instanceof Problem ? this.#refusal.kind : "";
  }

  /** Return what is refused at a field, or below it; "" where nothing is. @param {string} pointer */
  at(pointer) {
    return this.#errors.find((error) => isAt(pointer, error.pointer))?.detail ?? "";
  }

  /** What is refused at no field that shows it. */
  get rest() {
    if (this.#refusal === null) {
      return "";
    }
    const rest = this.#errors.filter(({ pointer }) => !this.#pointers.some((each) => isAt(each, pointer)));
    return this.#errors.length === 0 ? this.#refusal.message : rest.map(({ pointer, detail }) => said(pointer, detail)).join(" ");
  }

  get #errors() {
    return this.#refusal instanceof Problem ? this.#refusal.errors : [];
  }
}

/** What is refused, for who looks at it or is read it. @param {string} message @param {string} [id] */
export function refusal(message, id) {
  return message === "" ? nothing : html`<span class="error" role="alert" id=${id ?? nothing}>${capital(message)}</span>`;
}

/**
 * A field with its label, what helps to fill it in, and what is refused of it.
 *
 * @param {{ label: string, id: string, isNamed?: boolean, hint?: unknown, error?: string, control: (describedBy: string) => TemplateResult }} options
 *     `isNamed`: what stands above the field says what it is
 */
export function field({ label, id, isNamed = false, hint, error = "", control }) {
  return html`<div class="setting-field">
    <label for=${id} class=${isNamed ? "only-read" : ""}>${label}</label>
    ${control([hint ? `${id}-hint` : "", error ? `${id}-error` : ""].filter(Boolean).join(" "))}
    ${refusal(error, `${id}-error`)}
    ${hint ? html`<small class="muted" id=${`${id}-hint`}>${hint}</small>` : nothing}
  </div>`;
}

/**
 * A switch.
 *
 * @param {{ label: unknown, hint?: unknown, isOn: boolean, isBusy?: boolean, change: (isOn: boolean) => void }} options
 */
export function toggle({ label, hint, isOn, isBusy = false, change }) {
  return html`<label class="setting-toggle">
    <span>${label}${hint ? html`<small>${hint}</small>` : nothing}</span>
    <input
      type="checkbox"
      role="switch"
      .checked=${isOn}
      ?disabled=${isBusy}
      @change=${(/** @type {Event} */ event) => change(/** @type {HTMLInputElement} */ (event.target).checked)}
    >
  </label>`;
}

/** @param {string} pointer @param {string} at */
function isAt(pointer, at) {
  return at === pointer || at.startsWith(`${pointer}/`);
}

/** @param {string} pointer @param {string} detail */
function said(pointer, detail) {
  return pointer === "" ? detail : `${pointer.slice(1)}: ${detail}.`;
}

/** @param {string} message */
function capital(message) {
  const shown = message.charAt(0).toUpperCase() + message.slice(1);
  return /[.!?]$/.test(shown) ? shown : `${shown}.`;
}
