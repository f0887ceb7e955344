/**
 * Replays: the log gone through once more, to compare what it gives or to publish it.
 *
 * @import { Replay } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { closeButton, openDialog } from "../parts/dialog.js";
import { icon } from "../parts/icons.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { update } from "../update.js";
import { fact } from "./letters.js";
import { moment, Pages, tried } from "./pages.js";

/** @type {Record<Replay["to"], string>} */
const TARGETS = { shadow: "Compare with the live tasks", topic: "Publish once more" };

export class Replays {
  /** @type {Pages<Replay>} */
  #pages = new Pages("admin/replay", () => ({}));

  load() {
    return this.#pages.load();
  }

  /** Whether one is on its way, so that it is to be looked at again. */
  get isRunning() {
    return (this.#pages.items ?? []).some(isOpen);
  }

  render() {
    return html`<section class="card" aria-labelledby="replays-title">
      <header class="card-head"><h2 id="replays-title">Replays</h2></header>
      <form class="filter-line" @submit=${(/** @type {SubmitEvent} */ event) => this.#start(event)}>
        <label>What for <select name="to">${Object.entries(TARGETS).map(([to, name]) => html`<option value=${to}>${name}</option>`)}</select></label>
        <label>User id, or all <input name="user_id" dir="ltr" maxlength="255" autocomplete="off" spellcheck="false"></label>
        <button type="submit">Start</button>
      </form>
      ${this.#pages.render((replay) => this.#row(replay), "There was none yet.")}
    </section>`;
  }

  /** @param {Replay} replay */
  #row(replay) {
    return html`<li class="entry">
      <button type="button" class="quiet entry-open" @click=${() => open(replay)}>
        <strong>${TARGETS[replay.to]}</strong>
        <span>${outcome(replay)}</span>
        <small class="muted">${moment(replay.created_at)} · ${replay.user_id === null ? "all users" : html`<bdi>${replay.user_id}</bdi>`}</small>
      </button>
      ${isOpen(replay)
        ? html`<button type="button" class="entry-act" @click=${() => this.#cancel(replay)}>${icon("close")}<span>Cancel</span></button>`
        : nothing}
    </li>`;
  }

  /** @param {SubmitEvent} event */
  async #start(event) {
    event.preventDefault();
    const entered = new FormData(/** @type {HTMLFormElement} */ (event.target));
    const userId = String(entered.get("user_id")).trim();
    const body = { to: entered.get("to"), user_id: userId || null };
    await tried(() => session.request("POST", "admin/replay", { body }), "It begins when its turn comes.");
    await this.load();
  }

  /** @param {Replay} replay */
  async #cancel(replay) {
    await tried(() => session.request("DELETE", `admin/replay/${replay.id}`), "Cancelled.");
    await this.load();
  }
}

/** @param {Replay} replay */
function isOpen({ state }) {
  return state === "waiting" || state === "running" || state === "stalled";
}

/** @param {Replay} replay */
function outcome({ state, equal, events_done: done, events_total: total }) {
  if (state === "waiting" || state === "cancelled") {
    return state === "waiting" ? "waits for its turn" : "cancelled";
  }
  if (state !== "done") {
    return `${state}: ${done} of ${text.counted(total, "event")}`;
  }
  return equal === null ? `done: ${text.counted(done, "event")}` : equal ? "the tasks are as their events say" : "some tasks differ";
}

/** @param {Replay} replay */
function open(replay) {
  let whole = replay;
  void tried(async () => {
    whole = (await session.request("GET", `admin/replay/${replay.id}`)).body;
    update();
  });
  openDialog({
    label: "Replay",
    kind: "wide-dialog",
    render: () => html`<header class="dialog-head"><h2>${TARGETS[whole.to]}</h2>${closeButton()}</header>
      <dl class="facts">
        ${fact("State", outcome(whole))} ${fact("Asked for", moment(whole.created_at))} ${fact("User", whole.user_id ?? "all")}
        ${fact("Events", `${whole.events_done} of ${whole.events_total}`)}
        ${whole.to === "shadow"
          ? html`${fact("Tasks that are the same", whole.tasks_same)} ${fact("That differ", whole.tasks_differing)}
            ${fact("Without an event", whole.tasks_only_live)} ${fact("Only in the events", whole.tasks_only_rebuilt)}`
          : nothing}
      </dl>
      ${whole.differences?.length
        ? html`<h3>What differs</h3>
            <ul>${whole.differences.map((each) => html`<li><bdi>${each.task_id}</bdi>: ${each.kind} ${each.fields.join(", ")}</li>`)}</ul>`
        : nothing}`,
  });
}
