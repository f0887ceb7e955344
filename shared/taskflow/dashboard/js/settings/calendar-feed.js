/** The calendar feed: an address that shows the tasks in a calendar, to who knows it. */
import { html, nothing } from "../../vendor/lit-html.js";
import { session } from "../session.js";
import { say } from "../toasts.js";
import { Attempt, refusal } from "./attempt.js";
import { toCopy } from "./copying.js";

const attempt = new Attempt();

/** It is told once, and gone when the user goes elsewhere. */
let url = "";

export function forgetFeed() {
  url = "";
}

export function calendarFeed() {
  return html`<p class="muted">
      Subscribe to your tasks in Google Calendar, Apple Calendar, Outlook or Thunderbird. Whoever knows the address can
      read them: keep it to yourself. A new address ends the one before.
    </p>
    ${url === ""
      ? nothing
      : html`${toCopy("Address of the calendar feed", url)}
          <p class="muted">It is shown this once. <a href=${url.replace(/^https?:/, "webcal:")}>Open it in a calendar</a></p>`}
    <div class="setting-line at-start">
      <button type="button" ?disabled=${attempt.isBusy} @click=${() => void attempt.run(open)}>${url === "" ? "Make an address" : "Make another one"}</button>
      <button type="button" class="quiet danger" ?disabled=${attempt.isBusy} @click=${() => void attempt.run(close)}>Close the feed</button>
    </div>
    ${refusal(attempt.rest)}`;
}

async function open() {
  const { body } = await session.request("POST", "calendar-feed");
  url = body.url;
}

async function close() {
  await session.request("DELETE", "calendar-feed");
  url = "";
  say("The calendar feed is closed: no address shows it any more.");
}
