/**
 * Logging in, and opening an account: the same form with another button.
 *
 * @import { Location, View } from "../places.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { Problem } from "../api.js";
import { icon } from "../parts/icons.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { update } from "../update.js";

const PASSWORD_MIN_CHARS = 8;

/** @param {Location} location @returns {View} */
export function makeView({ place, query }) {
  const isNew = place.name === "register";
  let isBusy = false;
  let error = "";

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    const entered = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const [email, password] = [String(entered.get("email")), String(entered.get("password"))];
    isBusy = true;
    error = "";
    update();
    try {
      await (isNew ? session.register(email, password) : session.logIn(email, password));
    } catch (refused) {
      error = said(/** @type {Error} */ (refused));
    } finally {
      isBusy = false;
      update();
    }
  }

  return {
    render: () => html`<main class="alone">
      <div class="brand"><span class="logo">${icon("check")}</span> TaskFlow</div>
      <h1 tabindex="-1">${isNew ? "Create an account" : "Log in"}</h1>
      ${session.state === "expired" ? html`<p class="notice">${text.EXPIRED}</p>` : nothing}
      <form class="fields" @submit=${submit}>
        <label>
          Email
          <input name="email" type="email" autocomplete="username" required autofocus maxlength="254" dir="ltr"
            .value=${session.state === "expired" ? (session.user?.email ?? "") : ""}>
        </label>
        <label>
          Password
          <input name="password" type="password" required dir="ltr"
            autocomplete=${isNew ? "new-password" : "current-password"}
            minlength=${isNew ? PASSWORD_MIN_CHARS : nothing}>
          ${isNew ? html`<small>At least ${PASSWORD_MIN_CHARS} characters; a sentence is best.</small>` : nothing}
        </label>
        ${error ? html`<p class="error" role="alert">${error}</p>` : nothing}
        <button type="submit" class="primary wide" ?disabled=${isBusy}>${isNew ? "Create account" : "Log in"}</button>
      </form>
      <p class="muted">
        ${isNew
          ? html`You have one? <a href=${`/log-in${behind(query)}`}>Log in</a>`
          : html`New here? <a href=${`/register${behind(query)}`}>Create an account</a>`}
      </p>
    </main>`,
  };
}

/** @param {URLSearchParams} query */
function behind(query) {
  return query.size > 0 ? `?${query}` : "";
}

/** @param {Error} refused */
function said(refused) {
  return refused instanceof Problem && refused.errors[0] ? refused.errors[0].detail : refused.message;
}
