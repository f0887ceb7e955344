/**
 * The audit: who did what, and whether nothing was changed since.
 *
 * @import { AuditEntry, Verification } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { closeButton, openDialog } from "../parts/dialog.js";
import { icon } from "../parts/icons.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { update } from "../update.js";
import { fact } from "./letters.js";
import { moment, Pages, tried } from "./pages.js";

const VERIFIED_WITHIN_MS = 90_000;
const SHOWN_MAX = 10;

export class Audit {
  #userId = "";
  #taskId = "";

  /** @type {Pages<AuditEntry>} */
  #pages = new Pages("admin/audit", () => ({ user_id: this.#userId || undefined, task_id: this.#taskId || undefined }));

  /** @type {Verification | null} */
  #verification = null;
  #isVerifying = false;

  load() {
    return this.#pages.load();
  }

  render() {
    return html`<section class="card" aria-labelledby="audit-title">
      <header class="card-head">
        <h2 id="audit-title">Audit</h2>
        <button type="button" ?disabled=${this.#isVerifying} @click=${() => this.#verify()}>
          ${icon("shield")} ${this.#isVerifying ? "Verifying…" : "Verify"}
        </button>
      </header>
      <div role="status">${this.#verification ? verified(this.#verification) : nothing}</div>
      <form class="filter-line" @submit=${(/** @type {SubmitEvent} */ event) => this.#search(event)}>
        <label>User id <input name="user_id" dir="ltr" maxlength="255" autocomplete="off" spellcheck="false"></label>
        <label>Task id <input name="task_id" dir="ltr" maxlength="36" autocomplete="off" spellcheck="false"></label>
        <button type="submit">${icon("search")} Find</button>
      </form>
      ${this.#pages.render(row, "There is no entry.")}
    </section>`;
  }

  /** @param {SubmitEvent} event */
  #search(event) {
    event.preventDefault();
    const entered = new FormData(/** @type {HTMLFormElement} */ (event.target));
    this.#userId = String(entered.get("user_id")).trim();
    this.#taskId = String(entered.get("task_id")).trim();
    void this.load();
  }

  async #verify() {
    this.#isVerifying = true;
    this.#verification = null;
    update();
    await tried(async () => {
      const { body } = await session.request("GET", "admin/audit/verify", { timeoutMs: VERIFIED_WITHIN_MS });
      this.#verification = body;
    });
    this.#isVerifying = false;
    update();
  }
}

/** @param {Verification} found */
function verified(found) {
  const counted = `${text.counted(found.events, "event")}, ${text.counted(found.entries, "entry", "entries")}`;
  if (found.ok) {
    return html`<p class="verdict is-good">${icon("done")} All is as it was written: ${counted}.</p>`;
  }
  const places = [
    ...found.broken_chains.map((place) => ({ ...place, what: "the chain breaks" })),
    ...found.differing_entries.map((place) => ({ ...place, what: "the entry is missing, or not as its event" })),
  ];
  return html`<div class="verdict is-bad">
    <p>${text.counted(places.length, "place")} is not as it was written, of ${counted}.</p>
    <ul>${places.slice(0, SHOWN_MAX).map(({ user_id: user, seq, what }) => html`<li><bdi>${user}</bdi>, event ${seq}: ${what}</li>`)}</ul>
  </div>`;
}

/** @param {AuditEntry} entry */
function row(entry) {
  return html`<li class="entry">
    <button type="button" class="quiet entry-open" @click=${() => open(entry)}>
      <strong>${entry.event_type}</strong>
      <span>by <bdi>${entry.actor === entry.user_id ? "the user" : entry.actor || "the system"}</bdi></span>
      <small class="muted">${moment(entry.timestamp)} · <bdi>${entry.origin}</bdi></small>
    </button>
  </li>`;
}

/** @param {AuditEntry} entry */
function open(entry) {
  openDialog({
    label: "Audit entry",
    kind: "wide-dialog",
    render: () => html`<header class="dialog-head"><h2>${entry.event_type}</h2>${closeButton()}</header>
      <dl class="facts">
        ${fact("When", moment(entry.timestamp))} ${fact("User", entry.user_id)} ${fact("Who asked", entry.actor)}
        ${fact("From", entry.origin)} ${fact("Of", entry.aggregate_id)} ${fact("Task", entry.task_id)}
        ${fact("Version", entry.version)} ${fact("In the stream", entry.seq)}
        ${fact("Request", entry.correlation_id)} ${fact("Event", entry.event_id)}
      </dl>`,
  });
}
