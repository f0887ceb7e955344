/**
 * What stands below the rows of a list: that it is empty, that more is on its way, that it failed.
 *
 * @import { List } from "../lists.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { Unreachable } from "../api.js";
import { store } from "../store.js";
import { icon } from "./icons.js";

/** @param {List} list @param {{ title: string, hint?: string, icon?: string }} empty */
export function listState(list, empty) {
  if (list.error && !(list.error instanceof Unreachable && list.ids.length > 0)) {
    return html`<div class="empty" role="alert">
      <p>${list.error.message}</p>
      <button type="button" @click=${() => store.retry()}>Try again</button>
    </div>`;
  }
  if (list.error && list.cursor === undefined) {
    return html`<p class="loading" role="status">There may be more: ${list.error.message}</p>`;
  }
  if (list.ids.length > 0) {
    return list.loading && list.cursor ? html`<p class="loading" role="status">Loading more…</p>` : nothing;
  }
  if (list.cursor === undefined) {
    return html`<div class="skeletons" role="status" aria-label="Loading">
      ${[70, 45, 60].map((width) => html`<div class="skeleton"><span .style=${`width: ${width}%`}></span></div>`)}
    </div>`;
  }
  return html`<div class="empty">
    <span class="empty-icon">${icon(empty.icon ?? "done")}</span>
    <p>${empty.title}</p>
    ${empty.hint ? html`<p class="muted">${empty.hint}</p>` : nothing}
  </div>`;
}
