/** A text to be copied: an address, a secret. */
import { html } from "../../vendor/lit-html.js";
import { say } from "../toasts.js";
import { icon } from "../parts/icons.js";

/** @param {string} label @param {string} value */
export function toCopy(label, value) {
  return html`<div class="to-copy">
    <input readonly dir="ltr" aria-label=${label} .value=${value} @focus=${selectAll}>
    <button type="button" @click=${(/** @type {Event} */ event) => void copy(event, value)}>${icon("copy")} Copy</button>
  </div>`;
}

/** @param {Event} event */
function selectAll(event) {
  /** @type {HTMLInputElement} */ (event.target).select();
}

/** @param {Event} event @param {string} value */
async function copy(event, value) {
  const input = /** @type {Element} */ (event.currentTarget).parentElement?.querySelector("input");
  try {
    await navigator.clipboard.writeText(value);
    say("Copied.");
  } catch {
    // The browser does not allow it: the user copies what is selected.
    input?.focus();
    input?.select();
    say("Press Ctrl C to copy it.");
  }
}
