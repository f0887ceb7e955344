/**
 * Reminders over the page, each with what can be done about it.
 *
 * @import { Shown } from "../reminders.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { timeLabel } from "../dates.js";
import { shortcut } from "../keyboard.js";
import { complete, dismiss, shownReminders, snooze, snoozes, toggleSnoozes } from "../reminders.js";
import { router } from "../router.js";
import * as text from "../text.js";
import { thisBrowser } from "../this-browser.js";
import { icon } from "./icons.js";

const CARDS_MAX = 3;
const OF_PHONE = matchMedia("(max-width: 767px)");
/** Where one card is all that leaves something of the page to be seen; the inbox has them all. */

export function reminderCards() {
  const reminders = shownReminders();
  const most = OF_PHONE.matches || router.base?.place.name === "inbox" ? 1 : CARDS_MAX;
  const more = reminders.length - most;
  return html`<section class="reminder-cards" aria-label="Reminders" aria-live="polite">
    ${repeat(reminders.slice(0, most), ({ id }) => id, card)}
    ${more > 0 ? html`<a class="reminder-card-more" href="/inbox">${more} more in the inbox</a>` : nothing}
    ${reminders.length > 0 && thisBrowser.isOffered ? offer() : nothing}
  </section>`;
}

/** @param {Shown} reminder */
function card(reminder) {
  const { taskId, title, message, at, isReminder, isSnoozing } = reminder;
  const shown = title ?? message ?? text.UNTITLED;
  return html`<article class="reminder-card" aria-label=${`${isReminder ? "Reminder" : "Message"}: ${shown}`}>
    <header>
      ${icon("bell")}<span>${isReminder ? "Reminder" : "Message"} · <time datetime=${at}>${timeLabel(new Date(at))}</time></span>
      <button type="button" class="quiet round" aria-label=${`Dismiss: ${shown}`} @click=${() => dismiss(reminder)}>${icon("close")}</button>
    </header>
    <p class="reminder-card-title" dir="auto">${shown}</p>
    ${title && message ? html`<p class="reminder-card-message" dir="auto">${message}</p>` : nothing}
    ${taskId === null ? nothing : actions(reminder)}
    ${isSnoozing
      ? html`<div class="reminder-card-actions" role="group" aria-label="Remind me again">
          ${snoozes().map((each) => html`<button type="button" @click=${() => void snooze(reminder, each)}>${each.label}</button>`)}
        </div>`
      : nothing}
  </article>`;
}

/** @param {Shown} reminder */
function actions(reminder) {
  return html`<div class="reminder-card-actions">
    <button type="button" class="primary" @click=${() => complete(reminder)}>Complete</button>
    ${reminder.isReminder
      ? html`<button type="button" aria-expanded=${reminder.isSnoozing} @click=${() => toggleSnoozes(reminder)}>Snooze</button>`
      : nothing}
    <button type="button" @click=${() => open(reminder)}>Open</button>
  </div>`;
}

/** @param {Shown} reminder */
function open(reminder) {
  dismiss(reminder);
  router.go(`/tasks/${reminder.taskId}`);
}

function offer() {
  return html`<div class="reminder-card-offer">
    <p>Be told when TaskFlow is not in front of you, too?</p>
    <div class="reminder-card-actions">
      <button type="button" ?disabled=${thisBrowser.isBusy} @click=${() => void thisBrowser.turnOn()}>Turn on notifications</button>
      <button type="button" class="quiet" @click=${() => thisBrowser.decline()}>No, thanks</button>
    </div>
  </div>`;
}

shortcut({
  keys: "r",
  group: "Anywhere",
  label: "To the reminder that is shown",
  run: () => {
    const first = document.querySelector(".reminder-card-actions button") ?? document.querySelector(".reminder-card button");
    /** @type {HTMLElement | null} */ (first)?.focus();
  },
  isOn: () => shownReminders().length > 0,
});
