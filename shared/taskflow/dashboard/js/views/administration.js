/**
 * What an administrator looks at: what happens in the system, what waits, and what did not get through.
 *
 * @import { Location, View } from "../places.js"
 * @import { SystemState } from "../representations.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { Audit } from "../administration/audit.js";
import { Letters } from "../administration/letters.js";
import { Notify } from "../administration/notify.js";
import { Replays } from "../administration/replays.js";
import { barChart } from "../parts/charts.js";
import { icon } from "../parts/icons.js";
import { router } from "../router.js";
import { session } from "../session.js";
import * as text from "../text.js";
import { update } from "../update.js";

const EVERY_MS = 5_000;
const MINUTES = 30;

/** @type {Record<string, string>} */
const PARTS = { "dead-letters": "Dead letters", audit: "Audit", replays: "Replays", notify: "Notify" };

/** @param {Location} location @returns {View} */
export function makeView({ query }) {
  /** @type {SystemState | null} */
  let state = null;
  /** @type {Error | null} */
  let error = null;
  let isKnown = session.isAdministrator;
  let isGone = false;
  let part = partIn(query);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const [letters, audit, replays, notify, perMinute] = [new Letters(), new Audit(), new Replays(), new Notify(), barChart()];

  /** Look at the state, and again and again as long as somebody sees it. */
  async function look() {
    clearTimeout(timer);
    try {
      // Who somebody is, the token says, which a page that was just loaded does not have yet.
      await session.token();
      isKnown = true;
      if (session.isAdministrator) {
        const before = state?.dead_letters;
        if (!document.hidden) {
          state = (await session.request("GET", "admin/state")).body;
          error = null;
        }
        if (before === undefined) {
          showPart();
        } else if (before !== state?.dead_letters && part === "dead-letters") {
          void letters.load();
        } else if (part === "replays" && replays.isRunning) {
          void replays.load();
        }
      }
    } catch (refused) {
      error = /** @type {Error} */ (refused);
    }
    update();
    if (!isGone && (error || session.isAdministrator)) {
      timer = setTimeout(look, EVERY_MS);
    }
  }

  function showPart() {
    const shown = { "dead-letters": letters, audit, replays, notify: null }[part];
    void shown?.load();
  }

  void look();

  return {
    title: () => (isKnown && !session.isAdministrator ? "Not found" : "Administration"),
    render() {
      if (isKnown && !session.isAdministrator) {
        return notFound();
      }
      return html`<main id="content" class="statistics ${state ? "" : "is-unknown"}" aria-busy=${!state && !error}>
        <header class="view-head">
          <h1 tabindex="-1">Administration</h1>
          ${error
            ? html`<span class="notice" role="alert">${error.message}${state ? " These numbers are of before." : ""}</span>`
            : nothing}
        </header>
        ${numbers(state ?? nothingYet(), perMinute)}
        <div class="switch parts" role="group" aria-label="What to look at">
          ${Object.entries(PARTS).map(
            ([name, label]) => html`<button type="button" aria-pressed=${name === part} @click=${() => choose(name)}>${label}</button>`,
          )}
        </div>
        ${part === "audit"
          ? audit.render()
          : part === "replays"
            ? replays.render()
            : part === "notify"
              ? notify.render()
              : letters.render((state?.consumers ?? []).map(({ name }) => name))}
      </main>`;
    },
    moved(location) {
      part = partIn(location.query);
      showPart();
    },
    left() {
      isGone = true;
      clearTimeout(timer);
    },
  };
}

/** @param {string} part */
function choose(part) {
  router.go(part === "dead-letters" ? "/administration" : `/administration?part=${part}`, { replace: true });
}

/** @param {URLSearchParams} query */
function partIn(query) {
  const part = query.get("part") ?? "";
  return /** @type {"dead-letters" | "audit" | "replays" | "notify"} */ (part in PARTS ? part : "dead-letters");
}

function notFound() {
  return html`<main id="content">
    <div class="empty">
      <span class="empty-icon">${icon("search")}</span>
      <h1 tabindex="-1">There is nothing here</h1>
      <p class="muted">Perhaps the address is not quite right.</p>
      <a href="/">Go to what is due today</a>
    </div>
  </main>`;
}

/** @param {SystemState} state @param {ReturnType<typeof barChart>} perMinute */
function numbers(state, perMinute) {
  const { events_per_minute: minutes, unpublished, consumers, dead_letters: dead, most } = state;
  const all = minutes.reduce((before, each) => before + each, 0);
  const waiting = consumers.reduce((before, each) => before + each.waiting + each.redeliveries, 0);
  const behind = consumers.filter((each) => each.waiting + each.redeliveries > 0).length;
  return html`<dl class="figures">
      ${figure("Events", minutes.at(-1) ?? 0, "in the last minute")}
      ${figure("Unpublished", unpublished === null ? "–" : upTo(unpublished, most), unpublished === null ? "there is no Kafka" : "not in Kafka yet")}
      ${figure("Waiting", waiting, behind === 0 ? "nothing lags" : `${text.counted(behind, "consumer")} behind`)}
      ${figure("Dead letters", upTo(dead, most), dead === 0 ? "all was delivered" : "to be decided on")}
    </dl>
    <section class="card">
      ${perMinute.render({
        title: "Events a minute",
        summary: `${all} in ${MINUTES} minutes`,
        columns: ["Minute", "Events"],
        points: minutes.map((value, index) => {
          const ago = minutes.length - 1 - index;
          const label = ago === 0 ? "The last minute" : `${text.counted(ago, "minute")} before`;
          return { label, value, text: `${label}: ${value}` };
        }),
        below: html`<div class="chart-ends" aria-hidden="true"><span>${MINUTES} minutes ago</span><span>now</span></div>`,
      })}
    </section>
    <section class="card">
      <table class="numbers">
        <caption>Consumers</caption>
        <thead><tr><th scope="col">Name</th><th scope="col">Waiting</th><th scope="col">Once more</th><th scope="col">Dead</th></tr></thead>
        <tbody>
          ${consumers.map(
            (each) => html`<tr>
              <th scope="row">${each.name}</th>
              ${[each.waiting, each.redeliveries].map((count) => html`<td class=${count > 0 ? "is-some" : ""}>${upTo(count, most)}</td>`)}
              <td class=${each.dead_letters > 0 ? "is-bad" : ""}>${upTo(each.dead_letters, most)}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </section>`;
}

/** @param {string} name @param {number | string} value @param {string} detail */
function figure(name, value, detail) {
  return html`<div>
    <dt>${name}</dt>
    <dd><strong>${value}</strong><small>${detail}</small></dd>
  </div>`;
}

/** A number that may be more: no more than so many are counted. @param {number} count @param {number} most */
function upTo(count, most) {
  return most > 0 && count >= most ? `${count}+` : String(count);
}

/** What stands there until it is counted. @returns {SystemState} */
function nothingYet() {
  return {
    counted_at: "",
    events_per_minute: Array.from({ length: MINUTES }, () => 0),
    unpublished: 0,
    dead_letters: 0,
    consumers: [],
    most: 0,
  };
}
