/**
 * Dead letters: what a consumer did not take, to be sent again or given up.
 *
 * @import { DeadLetter } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { closeButton, closeDialog, openDialog } from "../parts/dialog.js";
import { icon } from "../parts/icons.js";
import { session } from "../session.js";
import { now, update } from "../update.js";
import { moment, Pages, tried } from "./pages.js";

/** @type {Record<string, string>} */
const STATES = { dead: "Dead", resent: "Sent again", discarded: "Discarded", delivered: "Delivered", "": "Any state" };

export class Letters {
  #state = "dead";
  #consumer = "";

  /** @type {Pages<DeadLetter>} */
  #pages = new Pages("admin/dead-letters", () => ({ state: this.#state || undefined, consumer: this.#consumer || undefined }));

  load() {
    return this.#pages.load();
  }

  /** @param {string[]} consumers */
  render(consumers) {
    return html`<section class="card" aria-labelledby="letters-title">
      <header class="card-head">
        <h2 id="letters-title">Dead letters</h2>
        ${choice("State", STATES, this.#state, (value) => {
          this.#state = value;
          void this.load();
        })}
        ${choice("Consumer", { "": "Any consumer", ...Object.fromEntries(consumers.map((each) => [each, each])) }, this.#consumer, (value) => {
          this.#consumer = value;
          void this.load();
        })}
      </header>
      ${this.#pages.render((letter) => this.#row(letter), this.#state === "dead" ? "Everything was delivered." : "There is none.")}
    </section>`;
  }

  /** @param {DeadLetter} letter */
  #row(letter) {
    return html`<li class="entry">
      <button type="button" class="quiet entry-open" @click=${() => this.#open(letter)}>
        <strong>${letter.event_type}</strong>
        <span>for ${letter.consumer}</span>
        <small class="muted">${letter.error_code ?? "no answer"} · ${moment(letter.received_at)}${letter.deaths > 1 ? ` · ${letter.deaths} times` : ""}</small>
      </button>
      ${letter.state === "dead"
        ? html`<button type="button" class="entry-act" @click=${() => this.#resend(letter)}>${icon("repeat")}<span>Send again</span></button>`
        : html`<span class="state">${STATES[letter.state]}</span>`}
    </li>`;
  }

  /** Show one with all that was sent. @param {DeadLetter} letter */
  #open(letter) {
    /** @type {DeadLetter} */
    let whole = letter;
    let isAsking = false;
    void tried(async () => {
      whole = (await session.request("GET", `admin/dead-letters/${letter.id}`)).body;
      update();
    });
    const ask = (/** @type {boolean} */ asks) => {
      isAsking = asks;
      now();
      /** @type {HTMLElement | null} */ (document.querySelector("dialog .dialog-actions button:last-of-type"))?.focus();
    };
    openDialog({
      label: "Dead letter",
      kind: "wide-dialog",
      render: () => html`<header class="dialog-head"><h2>${letter.event_type}</h2>${closeButton()}</header>
        <dl class="facts">
          ${fact("Consumer", letter.consumer)} ${fact("State", STATES[whole.state])} ${fact("Given up", moment(letter.received_at))}
          ${fact("Status", letter.error_code ?? "no answer")} ${fact("Answered", letter.error_text)}
          ${fact("User", letter.user_id)} ${fact("In the stream", letter.seq)} ${fact("Event", letter.event_id)}
        </dl>
        <h3>What was sent</h3>
        <div class="sent" role="region" tabindex="0" aria-label="What was sent">
          <pre dir="ltr">${whole.body === undefined ? "…" : readable(whole.body)}</pre>
        </div>
        ${letter.state !== "dead"
          ? nothing
          : isAsking
            ? html`<div class="dialog-actions" role="group" aria-label="Discard it?">
                <p>${letter.consumer} will never have this event. Discard it?</p>
                <button type="button" class="danger" @click=${() => this.#discard(letter)}>Discard</button>
                <button type="button" @click=${() => ask(false)}>Keep it</button>
              </div>`
            : html`<div class="dialog-actions">
                <button type="button" class="primary" @click=${() => this.#resend(letter)}>Send again</button>
                <button type="button" class="danger" @click=${() => ask(true)}>Discard…</button>
              </div>`}`,
    });
  }

  /** @param {DeadLetter} letter */
  async #resend(letter) {
    const path = `admin/dead-letters/${letter.id}/resend`;
    await tried(() => session.request("POST", path), `It is sent to ${letter.consumer} again.`);
    closeDialog();
    await this.load();
  }

  /** @param {DeadLetter} letter */
  async #discard(letter) {
    await tried(() => session.request("DELETE", `admin/dead-letters/${letter.id}`), "Discarded.");
    closeDialog();
    await this.load();
  }
}

/** @param {string} name @param {unknown} value */
export function fact(name, value) {
  return value === null || value === "" ? nothing : html`<div><dt>${name}</dt><dd dir="auto">${value}</dd></div>`;
}

/** @param {string} label @param {Record<string, string>} choices @param {string} chosen @param {(value: string) => void} choose */
export function choice(label, choices, chosen, choose) {
  return html`<label class="choice" title=${label}>
    <span class="only-read">${label}</span>
    <select @change=${(/** @type {Event} */ event) => choose(/** @type {HTMLSelectElement} */ (event.target).value)}>
      ${Object.entries(choices).map(([value, shown]) => html`<option value=${value} ?selected=${value === chosen}>${shown}</option>`)}
    </select>
  </label>`;
}

/** @param {string} body */
function readable(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
