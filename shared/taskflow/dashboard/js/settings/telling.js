/**
 * How the user is told beside the inbox: in this browser, by email, on devices; and when not.
 *
 * @import { Destination } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { session } from "../session.js";
import { store } from "../store.js";
import { thisBrowser } from "../this-browser.js";
import { say } from "../toasts.js";
import { update } from "../update.js";
import { Attempt, field, refusal, toggle } from "./attempt.js";
import { changeSettings, destinations, useChannel } from "./saved.js";

const USUAL_QUIET_HOURS = { start: "22:00", end: "07:00" };

const ofBrowser = new Attempt();
const ofEmail = new Attempt("/address");
const ofList = new Attempt();
const ofChannels = new Attempt();
const ofQuietHours = new Attempt("/quiet_hours");
const ofDigest = new Attempt();

/** @type {Record<import("../this-browser.js").State, { label: string, detail: string }>} */
const STATES = {
  pushed: { label: "On", detail: "This browser tells you, also while TaskFlow is closed." },
  open: { label: "On while TaskFlow is open", detail: "This browser tells you as long as TaskFlow is open in one of its tabs." },
  off: { label: "Off", detail: "This browser tells you nothing yet. It will ask whether TaskFlow may." },
  blocked: {
    label: "Blocked",
    detail: "This browser does not let TaskFlow show notifications. Allow them with the sign beside the address, or in its settings for this site, then come back.",
  },
  unsupported: {
    label: "Not possible here",
    detail: "This browser shows no notifications of pages. On an iPhone or iPad, add TaskFlow to the home screen first, and open it there.",
  },
  insecure: { label: "Not possible here", detail: "Browsers show notifications only of pages that come by HTTPS." },
};

/** @type {Record<string, string>} */
const REASONS = {
  "not-set-up": "This server is not set up to push to browsers.",
  "no-service": "This browser's push service can't be reached, or it has none.",
  "unreachable": "The server can't be reached just now.",
  "refused": "The server has refused this browser.",
};

export function browserHere() {
  const { label, detail } = STATES[thisBrowser.state];
  const { reason } = thisBrowser;
  const isOn = thisBrowser.state === "open" || thisBrowser.state === "pushed";
  const isPushSilent = thisBrowser.state === "pushed" && store.settings !== null && !usesChannel("web_push");
  return html`<div class="setting-line">
      <p><strong>${label}.</strong> <span class="muted">${detail}</span></p>
      ${isOn
        ? html`<button type="button" ?disabled=${thisBrowser.isBusy} @click=${() => void ofBrowser.run(turnOff)}>Turn off</button>`
        : thisBrowser.state === "off"
          ? html`<button type="button" class="primary" ?disabled=${thisBrowser.isBusy} @click=${() => void ofBrowser.run(turnOn)}>Turn on</button>`
          : nothing}
    </div>
    ${thisBrowser.state === "open" && reason
      ? html`<p class="setting-line" role="status"><span class="muted">Not while it is closed: ${REASONS[reason]}</span>
          ${reason === "not-set-up" ? nothing : html`<button type="button" ?disabled=${thisBrowser.isBusy} @click=${() => void ofBrowser.run(turnOn)}>Try again</button>`}</p>`
      : nothing}
    ${isPushSilent ? html`<p class="notice">Browsers are switched off below: nothing is pushed.</p>` : nothing}
    ${refusal(ofBrowser.rest)}`;
}

async function turnOn() {
  await thisBrowser.turnOn();
  await destinations.read();
}

async function turnOff() {
  await thisBrowser.turnOff();
  await destinations.read();
}

export function email() {
  return html`${channelToggle("email", "Tell me by email", "Reminders are mailed to the addresses that are confirmed.")}
    ${listOf("email")}
    <form class="row-form" @submit=${addEmail}>
      ${field({
        label: "Add an address",
        id: "new-email",
        error: ofEmail.at("/address") || ofEmail.rest,
        control: (describedBy) => html`<input
          id="new-email"
          name="address"
          type="email"
          autocomplete="email"
          required
          maxlength="254"
          dir="ltr"
          placeholder="me@example.com"
          aria-describedby=${describedBy || nothing}
          aria-invalid=${ofEmail.at("/address") ? "true" : nothing}
        >`,
      })}
      <button type="submit" ?disabled=${ofEmail.isBusy}>Add</button>
    </form>
    ${toggle({
      label: "Gather mails",
      hint: "What is due at the same time comes in one mail.",
      isOn: store.settings?.email_digest ?? true,
      isBusy: store.settings === null || ofDigest.isBusy,
      change: (isOn) => void ofDigest.run(() => changeSettings({ email_digest: isOn })),
    })}
    ${refusal(ofDigest.rest)}`;
}

/** @param {SubmitEvent} event */
async function addEmail(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.target);
  const address = String(new FormData(form).get("address")).trim();
  const isDone = await ofEmail.run(async () => {
    await addAddress(address);
    if (!usesChannel("email")) {
      await useChannel("email", true);
    }
  });
  if (isDone) {
    form.reset();
  }
}

/** @param {string} address */
async function addAddress(address) {
  const { body } = await session.request("POST", "destinations", { body: { channel: "email", address } });
  destinations.put(body);
  if (body.state === "unconfirmed") {
    say(`A mail with a link is on its way to ${body.address}.`);
  }
}

export function devices() {
  return html`${channelToggle("web_push", "Tell me in browsers", "Those in which you have turned it on, this one or others.")}
    ${listOf("web_push")}
    ${channelToggle("push", "Tell me on devices", "Apps add themselves as you sign in there.")} ${listOf("push")}`;
}

/** @param {string} channel @param {string} label @param {string} hint */
function channelToggle(channel, label, hint) {
  return html`${toggle({
    label,
    hint,
    isOn: usesChannel(channel),
    isBusy: store.settings === null || ofChannels.isBusy,
    change: (isOn) => void ofChannels.run(() => useChannel(channel, isOn)),
  })}
  ${channel === "push" ? refusal(ofChannels.rest) : nothing}`;
}

/** @param {string} channel */
function usesChannel(channel) {
  return store.settings?.notification_channels.includes(channel) ?? false;
}

/** @param {Destination["channel"]} channel */
function listOf(channel) {
  if (destinations.items === null) {
    return destinations.error
      ? html`<p class="setting-line"><span class="error">${destinations.error.message}</span>
          <button type="button" @click=${() => void destinations.read()}>Try again</button></p>`
      : html`<div class="skeleton" role="status" aria-label="Loading"><span .style=${"width: 40%"}></span></div>`;
  }
  const items = destinations.items.filter((each) => each.channel === channel);
  return html`${items.length > 0 ? html`<ul class="setting-items" role="list">${items.map(thing)}</ul>` : nothing}
    ${channel === "email" ? refusal(ofList.rest) : nothing}`;
}

/** @param {Destination} destination */
function thing(destination) {
  const { id, channel, address, state } = destination;
  const isHere = id === thisBrowser.destination;
  return html`<li class="setting-item">
    <div class="setting-item-body">
      <span class="setting-item-name" dir="auto">${address}${isHere ? html` <span class="setting-badge">This browser</span>` : nothing}</span>
      <small class="muted">${stateOf(destination)}</small>
    </div>
    ${channel === "email" && state !== "active"
      ? html`<button type="button" ?disabled=${ofList.isBusy} @click=${() => void ofList.run(() => addAddress(address))}>Send the link again</button>`
      : nothing}
    <button type="button" class="quiet danger" aria-label=${`Remove ${address}`} ?disabled=${ofList.isBusy} @click=${() => void ofList.run(() => remove(id))}>Remove</button>
  </li>`;
}

/** @param {string} id */
async function remove(id) {
  await session.request("DELETE", `destinations/${id}`);
  await thisBrowser.removed(id);
  destinations.remove(id);
}

/** @param {Destination} destination */
function stateOf({ state, channel, disabled_because: because, failing_since: failing, created_at: at }) {
  if (state === "unconfirmed") {
    return "Not confirmed yet: follow the link in the mail.";
  }
  if (state === "disabled") {
    return `Nothing is sent any more${because ? `: ${because}` : ""}.`;
  }
  if (failing) {
    return `Nothing has got through since ${day(failing)}; it is tried again.`;
  }
  return channel === "email" ? "Confirmed." : `Since ${day(at)}.`;
}

/** @param {string} at */
function day(at) {
  return new Intl.DateTimeFormat(undefined, { dateStyle: "medium" }).format(new Date(at));
}

export function quietHours() {
  const { settings } = store;
  const hours = settings?.quiet_hours ?? null;
  return html`${toggle({
      label: "Keep quiet for a part of the day",
      hint: "What comes then is told when it ends. The inbox has it at once.",
      isOn: hours !== null,
      isBusy: settings === null || ofQuietHours.isBusy,
      change: (isOn) => void setQuietHours(isOn ? USUAL_QUIET_HOURS : null),
    })}
    ${hours === null
      ? nothing
      : html`<div class="setting-line are-times">
          <label>From <input type="time" required .value=${hours.start} @change=${(/** @type {Event} */ event) => bound("start", event)}></label>
          <label>To <input type="time" required .value=${hours.end} @change=${(/** @type {Event} */ event) => bound("end", event)}></label>
          ${hours.end <= hours.start ? html`<span class="muted">of the next day</span>` : nothing}
        </div>`}
    ${refusal(ofQuietHours.at("/quiet_hours") || ofQuietHours.rest)}`;
}

/** @param {"start" | "end"} name @param {Event} event */
function bound(name, event) {
  const { value } = /** @type {HTMLInputElement} */ (event.target);
  if (value !== "") {
    void setQuietHours({ [name]: value });
  }
}

/** @param {Record<string, string> | null} hours */
async function setQuietHours(hours) {
  await ofQuietHours.run(() => changeSettings({ quiet_hours: hours }));
  update();
}
