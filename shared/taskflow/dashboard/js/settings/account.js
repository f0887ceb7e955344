/** The account: who it is, signing out, and its end. */
import { html, nothing } from "../../vendor/lit-html.js";
import { closeButton, closeDialog, openDialog } from "../parts/dialog.js";
import { session, WRONG_PASSWORD } from "../session.js";
import { thisBrowser } from "../this-browser.js";
import { say } from "../toasts.js";
import { Attempt, field, refusal } from "./attempt.js";
import { sessions } from "./saved.js";

const ofEnd = new Attempt("/password");
const ofDeletion = new Attempt("/password");
const ofChange = new Attempt("/password", "/new_password");

export function account() {
  return html`<div class="setting-line">
      <p>${session.user?.email ? html`Signed in as <strong dir="auto">${session.user.email}</strong>` : "Signed in"}</p>
      <button type="button" ?disabled=${ofEnd.isBusy} @click=${() => void ofEnd.run(logOut)}>Log out</button>
    </div>
    ${refusal(ofEnd.rest)}
    <div class="setting-line">
      <p>Change the password <span class="muted">All other devices are logged out.</span></p>
      <button type="button" @click=${openChange}>Change…</button>
    </div>
    <div class="setting-line">
      <p>Delete the account <span class="muted">With all tasks, series, reminders and webhooks, for good.</span></p>
      <button type="button" class="danger" @click=${openDeletion}>Delete…</button>
    </div>`;
}

async function logOut() {
  await thisBrowser.leave();
  await session.logOut();
}

function openChange() {
  ofChange.forget();
  openDialog({ label: "Change the password", render: change });
}

function change() {
  const isWrong = ofChange.kind === WRONG_PASSWORD;
  return html`<header class="dialog-head"><h2>Change the password</h2>${closeButton()}</header>
    <form class="fields" @submit=${changePassword}>
      <input class="only-read" type="email" autocomplete="username" aria-hidden="true" tabindex="-1" readonly .value=${session.user?.email ?? ""}>
      ${passwordField({
        label: "The password until now",
        name: "password",
        error: isWrong ? "The password is wrong." : ofChange.at("/password"),
        autocomplete: "current-password",
        isFirst: true,
        isRequired: true,
      })}
      ${passwordField({
        label: "The new one",
        name: "new_password",
        error: ofChange.at("/new_password"),
        hint: "At least 8 characters. A few words that you remember are better than one with signs.",
        autocomplete: "new-password",
        isRequired: true,
      })}
      ${isWrong ? nothing : refusal(ofChange.rest)}
      <div class="dialog-actions">
        <span class="spring"></span>
        <button type="button" @click=${closeDialog}>Keep it</button>
        <button type="submit" class="primary" ?disabled=${ofChange.isBusy}>Change it</button>
      </div>
    </form>`;
}

/** @param {{ label: string, name: string, error: string, hint?: string, autocomplete: "current-password" | "new-password", isFirst?: boolean, isRequired?: boolean }} options */
function passwordField({ label, name, error, hint, autocomplete, isFirst = false, isRequired = false }) {
  return field({
    label,
    id: name,
    error,
    hint,
    control: (describedBy) => html`<input
      id=${name}
      name=${name}
      type="password"
      autocomplete=${autocomplete}
      ?autofocus=${isFirst}
      ?required=${isRequired}
      dir="ltr"
      maxlength="256"
      aria-describedby=${describedBy || nothing}
      aria-invalid=${error ? "true" : nothing}
    >`,
  });
}

/** @param {SubmitEvent} event */
async function changePassword(event) {
  event.preventDefault();
  const body = Object.fromEntries(new FormData(/** @type {HTMLFormElement} */ (event.target)));
  if (await ofChange.run(() => session.request("POST", "password", { body }))) {
    closeDialog();
    say("The password is changed, and all other devices are logged out.");
    await sessions.read();
  }
}

function openDeletion() {
  ofDeletion.forget();
  openDialog({ label: "Delete the account", render: deletion });
}

function deletion() {
  const isWrong = ofDeletion.kind === WRONG_PASSWORD;
  const error = isWrong ? "The password is wrong." : ofDeletion.at("/password") || ofDeletion.rest;
  return html`<header class="dialog-head"><h2>Delete the account?</h2>${closeButton()}</header>
    <form class="fields" @submit=${remove}>
      <p>All that is yours goes: tasks, series, reminders, the inbox, webhooks and the calendar feed. <strong>Nobody can bring it back.</strong> An export keeps a copy.</p>
      ${passwordField({
        label: "Your password, once more",
        name: "password",
        error,
        hint: "Who signs in elsewhere has none, and leaves it empty.",
        autocomplete: "current-password",
        isFirst: true,
      })}
      <label class="setting-confirm"><input type="checkbox" required> I want all of it deleted</label>
      <div class="dialog-actions">
        <span class="spring"></span>
        <button type="button" @click=${closeDialog}>Keep it</button>
        <button type="submit" class="primary is-danger" ?disabled=${ofDeletion.isBusy}>Delete for good</button>
      </div>
    </form>`;
}

/** @param {SubmitEvent} event */
function remove(event) {
  event.preventDefault();
  const password = String(new FormData(/** @type {HTMLFormElement} */ (event.target)).get("password"));
  void ofDeletion.run(() => session.deleteAccount(password));
}
