/** The state of the connection: a dot and a word. */
import { html } from "../../vendor/lit-html.js";
import { live } from "../live.js";
import { store } from "../store.js";
import * as text from "../text.js";

export function connection() {
  const { label, detail } = text.CONNECTION[live.state] ?? { label: "", detail: "" };
  const waiting = live.state === "offline" ? store.changes.length : 0;
  return html`<span class="connection" data-state=${live.state} role="status" title=${detail}>
    <span class="dot"></span>
    <span>${label}${waiting > 0 ? ` · ${text.counted(waiting, "change")} to send` : ""}</span>
  </span>`;
}
