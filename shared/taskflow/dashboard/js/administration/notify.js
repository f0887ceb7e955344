/** A message to one user. */
import { html } from "../../vendor/lit-html.js";
import { session } from "../session.js";
import { update } from "../update.js";
import { tried } from "./pages.js";

export class Notify {
  #isBusy = false;

  render() {
    return html`<section class="card" aria-labelledby="notify-title">
      <header class="card-head"><h2 id="notify-title">Notify a user</h2></header>
      <form class="fields" @submit=${(/** @type {SubmitEvent} */ event) => this.#send(event)}>
        <label>User id <input name="user_id" dir="ltr" required maxlength="255" autocomplete="off" spellcheck="false"></label>
        <label>
          Message
          <textarea name="message" dir="auto" required maxlength="1000" rows="3"></textarea>
          <small>It comes into their inbox, and by the channels that they have chosen.</small>
        </label>
        <div><button type="submit" class="primary" ?disabled=${this.#isBusy}>Send</button></div>
      </form>
    </section>`;
  }

  /** @param {SubmitEvent} event */
  async #send(event) {
    event.preventDefault();
    const form = /** @type {HTMLFormElement} */ (event.target);
    const entered = new FormData(form);
    const body = { user_id: String(entered.get("user_id")).trim(), message: entered.get("message") };
    this.#isBusy = true;
    update();
    if (await tried(() => session.request("POST", "admin/notifications", { body }), "They are notified.")) {
      form.reset();
    }
    this.#isBusy = false;
    update();
  }
}
