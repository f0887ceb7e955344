/**
 * The settings, each part with an address of its own: `/settings#webhooks`.
 *
 * @import { TemplateResult } from "../../vendor/lit-html.js"
 * @import { View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { account } from "../settings/account.js";
import { Attempt, refusal } from "../settings/attempt.js";
import { calendarFeed, forgetFeed } from "../settings/calendar-feed.js";
import { data } from "../settings/data.js";
import { destinations, readSettings, sessions, webhooks } from "../settings/saved.js";
import { sessionSettings } from "../settings/sessions.js";
import { browserHere, devices, email, quietHours } from "../settings/telling.js";
import { timeZone } from "../settings/time-zone.js";
import { webhookSettings } from "../settings/webhooks.js";

/** @type {{ id: string, title: string, render: () => unknown }[]} */
const PARTS = [
  { id: "time-zone", title: "Time zone", render: timeZone },
  { id: "notifications", title: "Notifications here", render: browserHere },
  { id: "email", title: "Email", render: email },
  { id: "devices", title: "Browsers and devices", render: devices },
  { id: "quiet-hours", title: "Quiet hours", render: quietHours },
  { id: "calendar", title: "Calendar feed", render: calendarFeed },
  { id: "data", title: "Export and import", render: data },
  { id: "webhooks", title: "Webhooks", render: webhookSettings },
  { id: "sessions", title: "Sessions", render: sessionSettings },
  { id: "account", title: "Account", render: account },
];

/** @returns {View} */
export function makeView() {
  const reading = new Attempt();
  const read = () => {
    void reading.run(readSettings);
    void destinations.read();
    void webhooks.read();
    void sessions.read();
  };
  // An address may have been confirmed in another tab, a webhook switched off by itself.
  const readAgain = () => {
    if (!document.hidden) {
      read();
    }
  };
  document.addEventListener("visibilitychange", readAgain);
  read();
  return {
    render: () => html`<main id="content">
      <header class="view-head"><h1 tabindex="-1">Settings</h1></header>
      <nav class="setting-parts" aria-label="Parts of the settings">${PARTS.map(({ id, title }) => html`<a href=${`#${id}`}>${title}</a>`)}</nav>
      ${refusal(reading.rest)}
      <div class="settings">${PARTS.map(part)}</div>
    </main>`,
    moved() {},
    left() {
      document.removeEventListener("visibilitychange", readAgain);
      forgetFeed();
    },
  };
}

/** @param {{ id: string, title: string, render: () => unknown }} part @returns {TemplateResult} */
function part({ id, title, render }) {
  return html`<section id=${id} aria-labelledby=${`${id}-title`}>
    <h2 id=${`${id}-title`} tabindex="-1">${title}</h2>
    ${render()}
  </section>`;
}
