/** The user's time zone, searched for by a part of its name. */
import { html, nothing } from "../../vendor/lit-html.js";
import { live } from "../../vendor/directives/live.js";
import { userZone } from "../dates.js";
import { update } from "../update.js";
import { Attempt, field } from "./attempt.js";
import { changeSettings } from "./saved.js";

const SHOWN_MAX = 60;

const attempt = new Attempt("/timezone");

/** What is typed; null where the zone itself is shown. @type {string | null} */
let typed = null;
let isOpen = false;
let active = 0;

/** @type {string[] | null} */
let zones = null;

export function timeZone() {
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const shown = typed ?? spaced(userZone());
  return html`${field({
    label: "Time zone",
    id: "zone",
    isNamed: true,
    error: attempt.at("/timezone") || attempt.rest,
    hint: html`It is ${timeIn(userZone())} there. What repeats keeps its time of day, and moves along.`,
    control: (describedBy) => html`<div class="combobox">
      <input
        id="zone"
        role="combobox"
        autocomplete="off"
        spellcheck="false"
        dir="ltr"
        aria-autocomplete="list"
        aria-controls="zones"
        aria-expanded=${isOpen ? "true" : "false"}
        aria-activedescendant=${isOpen && found().length > 0 ? `zone-${active}` : nothing}
        aria-describedby=${describedBy || nothing}
        .value=${live(shown)}
        @focus=${(/** @type {Event} */ event) => /** @type {HTMLInputElement} */ (event.target).select()}
        @click=${() => open("")}
        @input=${(/** @type {Event} */ event) => open(/** @type {HTMLInputElement} */ (event.target).value)}
        @keydown=${pressed}
        @blur=${close}
      >
      ${isOpen ? list() : nothing}
    </div>`,
  })}
  ${here !== userZone()
    ? html`<p class="setting-line"><span class="muted">This device is in ${spaced(here)}.</span>
        <button type="button" ?disabled=${attempt.isBusy} @click=${() => void choose(here)}>Use that</button></p>`
    : nothing}`;
}

function list() {
  const names = found();
  return html`<ul id="zones" class="combobox-list" role="listbox" aria-label="Time zones" @mousedown=${(/** @type {Event} */ event) => event.preventDefault()}>
    ${names.map(
      (name, at) => html`<li
        id=${`zone-${at}`}
        role="option"
        aria-selected=${at === active ? "true" : "false"}
        @click=${() => void choose(name)}
      >
        <span>${spaced(name)}</span><small class="muted">${timeIn(name)}</small>
      </li>`,
    )}
    ${names.length === 0 ? html`<li role="option" aria-disabled="true" aria-selected="false" class="muted">No such zone. Try the name of a large city.</li>` : nothing}
  </ul>`;
}

/** Return the zones whose names have all the words that are typed. */
function found() {
  zones ??= [...new Set(["UTC", userZone(), ...Intl.supportedValuesOf("timeZone")])];
  const words = (typed ?? "").toLowerCase().split(/[\s/_,]+/).filter(Boolean);
  return zones.filter((name) => words.every((word) => spaced(name).toLowerCase().includes(word))).slice(0, SHOWN_MAX);
}

/** @param {string} value */
function open(value) {
  typed = value;
  isOpen = true;
  active = 0;
  attempt.forget();
  update();
}

function close() {
  isOpen = false;
  typed = null;
  update();
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (!isOpen) {
      open("");
      return;
    }
    const count = found().length;
    active = (active + (event.key === "ArrowDown" ? 1 : count - 1)) % Math.max(count, 1);
    update();
    requestAnimationFrame(() => document.getElementById(`zone-${active}`)?.scrollIntoView({ block: "nearest" }));
  } else if (event.key === "Enter" && isOpen) {
    event.preventDefault();
    const name = found()[active];
    if (name) {
      void choose(name);
    }
  } else if (event.key === "Escape" && isOpen) {
    event.preventDefault();
    close();
  }
}

/** @param {string} name */
async function choose(name) {
  close();
  await attempt.run(() => changeSettings({ timezone: name }));
}

/** @param {string} name */
function spaced(name) {
  return name.replaceAll("_", " ");
}

/** @param {string} zone */
function timeIn(zone) {
  return new Intl.DateTimeFormat(undefined, {
    timeZone: zone,
    weekday: "short",
    hour: "numeric",
    minute: "2-digit",
    timeZoneName: "shortOffset",
  }).format(new Date());
}
