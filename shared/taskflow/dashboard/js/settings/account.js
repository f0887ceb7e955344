/** The account: who it is, signing out, and its end. */
import { html, nothing } from "../../vendor/lit-html.js";
import { closeButton, closeDialog, openDialog } from "../parts/dialog.js";
import { session, WRONG_PASSWORD } from "../session.js";
import { thisBrowser } from "../this-browser.js";
import { Attempt, field, refusal } from "./attempt.js";

const ofEnd = new Attempt("/password");
const ofDeletion = new Attempt("/password");

export function account() {
  return html`<div class="setting-line">
      <p>${session.user?.email ? html`Signed in as <strong dir="auto">${session.user.email}</strong>` : "Signed in"}</p>
      <button type="button" ?disabled=${ofEnd.isBusy} @click=${() => void ofEnd.run(logOut)}>Log out</button>
    </div>
    ${refusal(ofEnd.rest)}
    <div class="setting-line">
      <p>Delete the account <span class="muted">With all tasks, series, reminders and webhooks, for good.</span></p>
      <button type="button" class="danger" @click=${openDeletion}>Delete…</button>
    </div>`;
}

async function logOut() {
  await thisBrowser.leave();
  await session.logOut();
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
      ${field({
        label: "Your password, once more",
        id: "password",
        error,
        hint: "Who signs in elsewhere has none, and leaves it empty.",
        control: (describedBy) => html`<input
          id="password"
          name="password"
          type="password"
          autocomplete="current-password"
          autofocus
          dir="ltr"
          maxlength="256"
          aria-describedby=${describedBy || nothing}
          aria-invalid=${error ? "true" : nothing}
        >`,
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
