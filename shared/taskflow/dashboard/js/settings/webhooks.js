/**
 * Webhooks: the user's events, sent to addresses of their own.
 *
 * @import { Page, Webhook, WebhookMessage } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { repeat } from "../../vendor/directives/repeat.js";
import { query } from "../api.js";
import { wholeTime } from "../dates.js";
import { closeButton, closeDialog, openDialog } from "../parts/dialog.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { say } from "../toasts.js";
import { update } from "../update.js";
import { Attempt, field, refusal } from "./attempt.js";
import { toCopy } from "./copying.js";
import { webhooks } from "./saved.js";

const PAGE_MESSAGES = 25;

/** @type {Record<string, string[]>} */
const EVENTS = {
  Tasks: ["created", "updated", "due_date_changed", "completed", "uncompleted", "deleted", "restored", "corrected"].map((each) => `task.${each}`),
  Repetitions: ["recurrence.set", "recurrence.removed", "recurring.spawned"],
  Reminders: ["scheduled", "rescheduled", "triggered", "sent", "failed", "cancelled"].map((each) => `reminder.${each}`),
  Inbox: ["notification.created", "notification.read"],
  Account: ["user.registered", "user.settings_changed", "user.deleted"],
};

/** @type {Record<WebhookMessage["state"], string>} */
const MESSAGE_STATES = { pending: "Waiting", sent: "Sent", failed: "Failed", cancelled: "Called off" };

const ofList = new Attempt();
const ofForm = new Attempt("/url", "/description", "/event_types");
const ofMessages = new Attempt();

/** Whose form is open; null for a new one. @type {Webhook | null} */
let edited = null;
let isOfAll = true;

export function webhookSettings() {
  return html`<p class="muted">
      What happens from now on is sent to an address of yours, signed after
      <a href="https://www.standardwebhooks.com" target="_blank" rel="noreferrer">Standard Webhooks</a>.
    </p>
    ${list()} ${refusal(ofList.rest)}
    <div class="setting-line at-start"><button type="button" @click=${() => openForm(null)}>Add a webhook…</button></div>`;
}

function list() {
  if (webhooks.items === null) {
    return webhooks.error
      ? html`<p class="setting-line"><span class="error">${webhooks.error.message}</span>
          <button type="button" @click=${() => void webhooks.read()}>Try again</button></p>`
      : html`<div class="skeleton" role="status" aria-label="Loading"><span .style=${"width: 60%"}></span></div>`;
  }
  return webhooks.items.length > 0
    ? html`<ul class="setting-items" role="list">${repeat(webhooks.items, ({ id }) => id, thing)}</ul>`
    : nothing;
}

/** @param {Webhook} webhook */
function thing(webhook) {
  const { id, url, description, enabled } = webhook;
  const name = description ?? url;
  return html`<li class="setting-item is-tall">
    <div class="setting-item-body">
      <span class="setting-item-name" dir="auto">${name}</span>
      ${description ? html`<small class="muted" dir="ltr">${url}</small>` : nothing}
      <small class=${enabled && !webhook.failing_since ? "muted" : "error"}>${stateOf(webhook)}</small>
    </div>
    <input
      type="checkbox"
      role="switch"
      aria-label=${`Send to ${name}`}
      .checked=${enabled}
      ?disabled=${ofList.isBusy}
      @change=${(/** @type {Event} */ event) => void ofList.run(() => change(id, { enabled: /** @type {HTMLInputElement} */ (event.target).checked }))}
    >
    <div class="setting-item-actions">
      <button type="button" class="quiet" @click=${() => openForm(webhook)}>Change…</button>
      <button type="button" class="quiet" @click=${() => openMessages(webhook)}>Messages…</button>
      <button type="button" class="quiet" @click=${() => openRotation(webhook)}>New secret…</button>
      <button type="button" class="quiet danger" @click=${() => openRemoval(webhook)}>Remove…</button>
    </div>
  </li>`;
}

/** @param {Webhook} webhook */
function stateOf({ enabled, event_types: types, failing_since: failing, disabled_because: because }) {
  const what = types === null ? "All events" : types.length <= 2 ? types.join(", ") : text.counted(types.length, "type of event", "types of events");
  if (!enabled) {
    return `Switched off${because ? `: ${because}` : ""}.`;
  }
  return failing ? `${what}. Nothing has got through since ${wholeTime(failing)}.` : `${what}.`;
}

/** @param {string} id @param {Partial<Webhook>} changes */
async function change(id, changes) {
  try {
    const { body } = await session.request("PATCH", `webhooks/${id}`, { body: changes });
    webhooks.put(body);
  } finally {
    // What was refused is shown as it is.
    update();
  }
}

/** @param {Webhook | null} webhook */
function openForm(webhook) {
  edited = webhook;
  isOfAll = (webhook?.event_types ?? null) === null;
  ofForm.forget();
  openDialog({ label: webhook ? "Change the webhook" : "Add a webhook", kind: "webhook-form", render: form });
}

function form() {
  const chosen = edited?.event_types ?? [];
  return html`<header class="dialog-head"><h2>${edited ? "Change the webhook" : "Add a webhook"}</h2>${closeButton()}</header>
    <form class="fields" @submit=${save}>
      ${field({
        label: "Address",
        id: "webhook-url",
        error: ofForm.at("/url"),
        hint: "Public, and by HTTPS. Events come as POST.",
        control: (describedBy) => html`<input id="webhook-url" name="url" type="url" required autofocus maxlength="2048" dir="ltr"
          placeholder="https://hooks.example.com/taskflow" .value=${edited?.url ?? ""}
          aria-describedby=${describedBy || nothing} aria-invalid=${ofForm.at("/url") ? "true" : nothing}>`,
      })}
      ${field({
        label: "What you know it by",
        id: "webhook-description",
        error: ofForm.at("/description"),
        control: (describedBy) => html`<input id="webhook-description" name="description" maxlength="255" dir="auto"
          .value=${edited?.description ?? ""} aria-describedby=${describedBy || nothing}>`,
      })}
      <fieldset class="event-choice">
        <legend>Events</legend>
        <label class="setting-option"><input type="radio" name="of" .checked=${isOfAll} @change=${() => ofAll(true)}> All, also those to come</label>
        <label class="setting-option"><input type="radio" name="of" .checked=${!isOfAll} @change=${() => ofAll(false)}> Only some</label>
        ${isOfAll
          ? nothing
          : html`<div class="event-types">
              ${Object.entries(EVENTS).map(
                ([group, types]) => html`<div role="group" aria-label=${group}>
                  <h3>${group}</h3>
                  ${types.map((type) => html`<label class="setting-option"><input type="checkbox" name="type" value=${type} ?checked=${chosen.includes(type)}> <code>${type}</code></label>`)}
                </div>`,
              )}
            </div>`}
        ${refusal(ofForm.at("/event_types"))}
      </fieldset>
      ${refusal(ofForm.rest)}
      <div class="dialog-actions">
        <span class="spring"></span>
        <button type="button" @click=${closeDialog}>Cancel</button>
        <button type="submit" class="primary" ?disabled=${ofForm.isBusy}>${edited ? "Save" : "Add"}</button>
      </div>
    </form>`;
}

/** @param {boolean} value */
function ofAll(value) {
  isOfAll = value;
  update();
}

/** @param {SubmitEvent} event */
async function save(event) {
  event.preventDefault();
  const entered = new FormData(/** @type {HTMLFormElement} */ (event.target));
  const webhook = edited;
  const body = {
    url: String(entered.get("url")).trim(),
    description: String(entered.get("description")).trim() || null,
    event_types: isOfAll ? null : entered.getAll("type").map(String),
  };
  let secret = "";
  const isDone = await ofForm.run(async () => {
    if (webhook) {
      await change(webhook.id, body);
    } else {
      const { secret: told, ...added } = (await session.request("POST", "webhooks", { body })).body;
      secret = told;
      webhooks.put(added);
    }
  });
  if (isDone) {
    closeDialog();
    if (secret !== "") {
      openSecret(secret, "The webhook is added. Its messages are signed with this secret:");
    }
  }
}

/** @param {string} secret @param {string} said */
function openSecret(secret, said) {
  openDialog({
    label: "The secret",
    render: () => html`<header class="dialog-head"><h2>The secret</h2>${closeButton()}</header>
      <div class="fields">
        <p>${said}</p>
        ${toCopy("Secret", secret)}
        <p class="notice">It is shown this once. Keep it where your endpoint finds it.</p>
        <div class="dialog-actions"><span class="spring"></span><button type="button" class="primary" @click=${closeDialog}>I have it</button></div>
      </div>`,
  });
}

/** @param {Webhook} webhook */
function openRotation({ id, url, description }) {
  const attempt = new Attempt();
  const rotate = async () => {
    /** @type {{ secret: string, replaced_signs_until: string } | undefined} */
    let told;
    await attempt.run(async () => {
      told = (await session.request("POST", `webhooks/${id}/rotate-secret`)).body;
    });
    if (told) {
      openSecret(told.secret, `The one before signs too until ${wholeTime(told.replaced_signs_until)}. The new one:`);
    }
  };
  ask("A new secret?", `Messages to “${description ?? url}” will be signed with a new secret, and for a day with the old one too.`, {
    label: "Make a new one",
    attempt,
    run: rotate,
  });
}

/** @param {Webhook} webhook */
function openRemoval({ id, url, description }) {
  const attempt = new Attempt();
  const remove = async () => {
    const isDone = await attempt.run(() => session.request("DELETE", `webhooks/${id}`));
    if (isDone) {
      closeDialog();
      webhooks.remove(id);
    }
  };
  ask("Remove the webhook?", `Nothing more is sent to “${description ?? url}”, and its messages are gone.`, {
    label: "Remove",
    isDanger: true,
    attempt,
    run: remove,
  });
}

/**
 * @param {string} title
 * @param {string} said
 * @param {{ label: string, isDanger?: boolean, attempt: Attempt, run: () => Promise<void> }} answer
 */
function ask(title, said, { label, isDanger = false, attempt, run }) {
  openDialog({
    label: title,
    render: () => html`<header class="dialog-head"><h2>${title}</h2>${closeButton()}</header>
      <p dir="auto">${said}</p>
      ${refusal(attempt.rest)}
      <div class="dialog-actions">
        <span class="spring"></span>
        <button type="button" @click=${closeDialog}>Cancel</button>
        <button type="button" class="primary ${isDanger ? "is-danger" : ""}" ?disabled=${attempt.isBusy} @click=${() => void run()}>${label}</button>
      </div>`,
  });
}

/** The messages that are shown. @type {{ of: Webhook, state: string, items: WebhookMessage[] | null, cursor: string | null } | null} */
let shown = null;

/** @param {Webhook} webhook */
function openMessages(webhook) {
  shown = { of: webhook, state: "", items: null, cursor: null };
  ofMessages.forget();
  openDialog({ label: "Messages", kind: "is-wide", render: messages, closed: () => (shown = null) });
  void loadMessages();
}

async function loadMessages() {
  const wanted = shown;
  await ofMessages.run(async () => {
    if (wanted && wanted === shown) {
      const asked = query({ limit: PAGE_MESSAGES, state: wanted.state || undefined, cursor: wanted.cursor });
      const page = /** @type {Page<WebhookMessage>} */ ((await session.request("GET", `webhooks/${wanted.of.id}/messages${asked}`)).body);
      wanted.items = [...(wanted.items ?? []), ...page.items];
      wanted.cursor = page.next_cursor;
    }
  });
}

/** @param {string} state */
function showState(state) {
  if (shown) {
    shown = { of: shown.of, state, items: null, cursor: null };
    void loadMessages();
  }
}

function messages() {
  if (!shown) {
    return html``;
  }
  const { of, state, items, cursor } = shown;
  return html`<header class="dialog-head">
      <h2>Messages</h2>
      <span class="spring"></span>
      <label class="choice"><span class="only-read">State</span>
        <select @change=${(/** @type {Event} */ event) => showState(/** @type {HTMLSelectElement} */ (event.target).value)}>
          ${Object.entries({ "": "All", ...MESSAGE_STATES }).map(([value, label]) => html`<option value=${value} ?selected=${value === state}>${label}</option>`)}
        </select>
      </label>
      ${closeButton()}
    </header>
    <p class="muted" dir="auto">${of.description ?? of.url}, the last 30 days.</p>
    ${items === null
      ? html`<p class="loading" role="status">${ofMessages.isBusy ? "Loading…" : ""}</p>`
      : items.length > 0
        ? html`<ul class="setting-items" role="list">${repeat(items, ({ id }) => id, message)}</ul>`
        : html`<p class="loading">There are none.</p>`}
    ${refusal(ofMessages.rest)}
    ${cursor ? html`<div class="dialog-actions"><button type="button" ?disabled=${ofMessages.isBusy} @click=${() => void loadMessages()}>Show more</button></div>` : nothing}`;
}

/** @param {WebhookMessage} each */
function message(each) {
  const { event_type: type, state, failures, created_at: at, settled_at: settledAt, due_at: dueAt, reason } = each;
  const tries = failures > 0 ? `, tried in vain ${text.counted(failures, "time")}` : "";
  const next = state === "pending" && failures > 0 ? `; again ${wholeTime(dueAt)}` : "";
  return html`<li class="setting-item">
    <div class="setting-item-body">
      <span class="setting-item-name"><code>${type ?? "?"}</code> <span class="setting-badge" data-state=${state}>${MESSAGE_STATES[state]}</span></span>
      <small class="muted"><time datetime=${at}>${wholeTime(settledAt ?? at)}</time>${tries}${next}</small>
      ${reason ? html`<small class=${state === "sent" ? "muted" : "error"}>${reason}</small>` : nothing}
    </div>
    <button type="button" ?disabled=${ofMessages.isBusy || state === "pending"} @click=${() => void ofMessages.run(() => sendAgain(each))}>Send again</button>
  </li>`;
}

/** @param {WebhookMessage} sent */
async function sendAgain(sent) {
  const wanted = shown;
  if (wanted?.items) {
    const { body } = await session.request("POST", `webhooks/${wanted.of.id}/messages/${sent.id}/resend`);
    wanted.items = wanted.items.map((each) => (each.id === body.id ? body : each));
    say("It is sent again.");
  }
}
