/**
 * Dialogs: what is shown over the page until it is answered or left.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { ref } from "../../vendor/directives/ref.js";
import { now, update } from "../update.js";
import { icon } from "./icons.js";

/**
 * @typedef {object} Content
 * @property {string} label what it is, for who is read it
 * @property {string} [kind] its class
 * @property {() => TemplateResult} render
 * @property {() => void} [closed]
 */

/** @type {Content | null} */
let content = null;

/** @type {Element | null} */
let before = null;

/** Open a dialog; what had the focus gets it again in the end. @param {Content} opened */
export function openDialog(opened) {
  closeDialog();
  before = document.activeElement;
  content = opened;
  // At once: what is typed next is for it.
  now();
  // One that was closed just now is still there, and is this one.
  showModal(document.querySelector("dialog") ?? undefined);
}

export function closeDialog() {
  const closed = content;
  content = null;
  // At once: what is typed next is not for it.
  document.querySelector("dialog")?.close();
  closed?.closed?.();
  update();
  if (closed && before instanceof HTMLElement && before.isConnected) {
    before.focus({ preventScroll: true });
  }
}

export function isDialogOpen() {
  return content !== null;
}

/** The dialog that is open, for the page to render. */
export function dialog() {
  const shown = content;
  return shown === null
    ? nothing
    : html`<dialog
        class=${shown.kind ?? ""}
        aria-label=${shown.label}
        ${ref(showModal)}
        @cancel=${(/** @type {Event} */ event) => {
          event.preventDefault();
          closeDialog();
        }}
        @close=${wasClosed}
        @click=${leaveByBackdrop}
      >
        <div class="dialog-content">${shown.render()}</div>
      </dialog>`;
}

/** The button in the corner of a dialog. */
export function closeButton() {
  return html`<button type="button" class="quiet round" aria-label="Close" @click=${closeDialog}>${icon("close")}</button>`;
}

/** @param {Element | undefined} element */
function showModal(element) {
  if (element instanceof HTMLDialogElement && !element.open) {
    // Rendered as a whole first: the focus goes to what is in it.
    queueMicrotask(() => element.isConnected && !element.open && element.showModal());
  }
}

/** Follow what the browser closed by itself. @param {Event} event */
function wasClosed({ target }) {
  if (target instanceof HTMLDialogElement && !target.open) {
    closeDialog();
  }
}

/** @param {MouseEvent} event */
function leaveByBackdrop(event) {
  if (event.target === event.currentTarget) {
    closeDialog();
  }
}
