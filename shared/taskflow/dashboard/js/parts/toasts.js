/** Toasts, for the page to render. */
import { html } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { shownToasts } from "../toasts.js";

export function toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${repeat(
      shownToasts(),
      (toast) => toast.id,
      ({ text, action, isError }) =>
        html`<div class="toast ${isError ? "is-error" : ""}">
          <span>${text}</span>
          ${action ? html`<button type="button" @click=${action.run}>${action.label}</button>` : ""}
        </div>`,
    )}
  </div>`;
}
