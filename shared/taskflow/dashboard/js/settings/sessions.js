/**
 * Where the user is signed in, and signing out there.
 *
 * @import { LoginSession } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { ago, wholeTime } from "../dates.js";
import { session } from "../session.js";
import { say } from "../toasts.js";
import { now } from "../update.js";
import { Attempt, refusal } from "./attempt.js";
import { sessions } from "./saved.js";

/** How the clients that people use call themselves; many call themselves others, too, and come first. @type {[RegExp, string][]} */
const BROWSERS = [
  [/\bEdgA?\//, "Edge"],
  [/\bOPR\//, "Opera"],
  [/\bSamsungBrowser\//, "Samsung Internet"],
  [/\b(Firefox|FxiOS)\//, "Firefox"],
  [/(Chrome|Chromium|CriOS)\//, "Chrome"],
  [/\bSafari\//, "Safari"],
];

/** @type {[RegExp, string][]} */
const SYSTEMS = [
  [/\bWindows\b/, "Windows"],
  [/\bAndroid\b/, "Android"],
  [/\biPhone\b/, "iPhone"],
  [/\biPad\b/, "iPad"],
  [/\bMac OS X\b/, "macOS"],
  [/\bCrOS\b/, "ChromeOS"],
  [/\bLinux\b/, "Linux"],
];

const NAME_MAX_CHARS = 60;

const ofList = new Attempt();

export function sessionSettings() {
  if (sessions.items === null) {
    return sessions.error
      ? html`<p class="setting-line"><span class="error">${sessions.error.message}</span>
          <button type="button" @click=${() => void sessions.read()}>Try again</button></p>`
      : html`<div class="skeleton" role="status" aria-label="Loading"><span .style=${"width: 60%"}></span></div>`;
  }
  const here = sessions.items.filter(({ current }) => current);
  const others = sessions.items.filter(({ current }) => !current).toSorted(lastUsedFirst);
  return html`<p class="muted">
      Where you are signed in. A device that you log out can't read or change anything any more. If it is told of
      reminders while TaskFlow is closed, remove it from <a href="#devices">Browsers and devices</a> too.
    </p>
    <ul class="setting-items" role="list">${repeat([...here, ...others], ({ id }) => id, thing)}</ul>
    ${refusal(ofList.rest)}
    ${others.length > 0
      ? html`<div class="setting-line at-start"><button type="button" ?disabled=${ofList.isBusy} @click=${() => void endOthers()}>Log out everywhere else</button></div>`
      : nothing}`;
}

/** @param {LoginSession} one @param {LoginSession} other */
function lastUsedFirst(one, other) {
  return Date.parse(other.last_used_at) - Date.parse(one.last_used_at);
}

/** @param {LoginSession} of */
function thing(of) {
  const name = clientName(of.client);
  const signedIn = html`signed in <time datetime=${of.created_at} title=${wholeTime(of.created_at)}>${ago(of.created_at)}</time>`;
  return html`<li class="setting-item is-tall">
    <div class="setting-item-body">
      <span class="setting-item-name" title=${of.client ?? nothing}><bdi>${name}</bdi>${of.current ? html` <span class="setting-badge">This browser</span>` : nothing}</span>
      <small class="muted">${of.current
        ? html`Used now, ${signedIn}.`
        : html`Used <time datetime=${of.last_used_at} title=${wholeTime(of.last_used_at)}>${ago(of.last_used_at)}</time>, ${signedIn}.`}</small>
    </div>
    ${of.current
      ? nothing
      : html`<button
          type="button"
          class="quiet"
          aria-label=${`Log out ${name}, used ${ago(of.last_used_at)}`}
          ?disabled=${ofList.isBusy}
          @click=${() => void end(of)}
        >Log out</button>`}
  </li>`;
}

/** Return what a person calls a client. @param {string | null} client */
export function clientName(client) {
  if (client === null) {
    return "A client that does not say what it is";
  }
  const [browser, system] = [BROWSERS, SYSTEMS].map((known) => known.find(([sign]) => sign.test(client))?.[1]);
  if (browser === undefined) {
    return client.length > NAME_MAX_CHARS ? `${client.slice(0, NAME_MAX_CHARS)}…` : client;
  }
  return system === undefined ? browser : `${browser} on ${system}`;
}

/** @param {LoginSession} ended */
async function end(ended) {
  const path = `sessions/${encodeURIComponent(ended.id)}`;
  if (await ofList.run(() => session.request("DELETE", path))) {
    say(`${clientName(ended.client)} is logged out.`);
  }
  await readAgain();
}

async function endOthers() {
  if (await ofList.run(() => session.request("DELETE", "sessions"))) {
    say("All others are logged out.");
  }
  await readAgain();
}

/** Some may have ended by themselves. What was pressed is gone: who goes by keyboard goes on from here. */
async function readAgain() {
  await sessions.read();
  now();
  if (document.activeElement === document.body) {
    document.getElementById("sessions-title")?.focus({ preventScroll: true });
  }
}
