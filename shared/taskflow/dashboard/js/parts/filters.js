/**
 * Filters and orders of a list, kept in its address: what they mean, and what sets them.
 *
 * @import { Wanted } from "../lists.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { live } from "../../vendor/directives/live.js";
import { addDays, instantOf, nameOfDay, today } from "../dates.js";
import { OPEN } from "../lists.js";
import { router } from "../router.js";
import { openTags } from "../tags.js";
import * as text from "../text.js";
import { closeButton, openDialog } from "./dialog.js";
import { icon } from "./icons.js";

const TAGS_SHOWN = 24;
const DAY = /^\d{4}-\d\d-\d\d$/;
const USUAL_SORT = "-created_at";

/** @type {Record<string, string>} */
const SORTS = {
  "-created_at": "Newest first",
  created_at: "Oldest first",
  due_date: "Due date",
  "-priority": "Priority",
  title: "Title",
  "-updated_at": "Last changed",
};

/** @type {Record<string, string>} */
const STATUSES = {
  "": "Open",
  pending: "To do",
  in_progress: "In progress",
  completed: "Completed",
  cancelled: "Cancelled",
  any: "All",
};

/** @type {Record<string, string>} */
const DUE = { "": "Any time", overdue: "Overdue", today: "Today", week: "Next 7 days" };

const NAMES = ["status", "priority", "tag", "due", "from", "to"];

/** Return which tasks an address wants. @param {URLSearchParams} query @param {string} [tag] that they have anyway @returns {Wanted} */
export function wantedBy(query, tag) {
  const priority = query.getAll("priority").filter((each) => each in text.PRIORITIES);
  const tags = [...new Set([...(tag === undefined ? [] : [tag]), ...query.getAll("tag")])];
  const sort = query.get("sort") ?? "";
  return {
    ...statusBy(query),
    ...(priority.length > 0 ? { priority } : {}),
    ...(tags.length > 0 ? { tag: tags } : {}),
    ...dueBy(query),
    sort: /** @type {Wanted["sort"]} */ (sort in SORTS ? sort : USUAL_SORT),
  };
}

/** Whether an address narrows its list. @param {URLSearchParams} query */
export function isNarrowed(query) {
  return NAMES.some((name) => query.has(name));
}

/** The tools above a list: what narrows it, and its order. @param {() => URLSearchParams} current */
export function filterTools(current) {
  const query = current();
  const count = chipsOf(query).length;
  return html`<div class="view-tools">
    <button type="button" class="tool ${count > 0 ? "is-on" : ""}" aria-haspopup="dialog" @click=${() => open(current)}>
      ${icon("filter")}Filter${count > 0 ? html` <span class="number">${count}<span class="only-read"> in use</span></span>` : nothing}
    </button>
    <label class="tool" title="Order">
      ${icon("sort")}<span class="only-read">Order</span>
      <select @change=${(/** @type {Event} */ event) => setOrder(current(), valueOf(event))}>
        ${Object.entries(SORTS).map(
          ([value, shown]) => html`<option value=${value} ?selected=${value === wantedBy(query).sort}>${shown}</option>`,
        )}
      </select>
    </label>
  </div>`;
}

/** What narrows a list, each to be taken away. @param {URLSearchParams} query */
export function filterChips(query) {
  const chips = chipsOf(query);
  if (chips.length === 0) {
    return nothing;
  }
  return html`<div class="filter-chips" role="group" aria-label="Filters">
    ${chips.map(
      ({ label, name, value }) =>
        html`<button type="button" class="filter-chip" aria-label=${`Remove the filter ${label}`} @click=${() => set(query, name, value, false)}>
          <bdi>${label}</bdi>${icon("close")}
        </button>`,
    )}
    ${chips.length > 1 ? html`<button type="button" class="quiet" @click=${() => clear(query)}>Clear all</button>` : nothing}
  </div>`;
}

/** @param {() => URLSearchParams} current */
function open(current) {
  openDialog({ label: "Filter", kind: "filter", render: () => choices(current()) });
}

/** @param {URLSearchParams} query */
function choices(query) {
  const used = query.getAll("tag");
  const tags = [...new Set([...used, ...openTags().map(({ tag }) => tag)])].slice(0, Math.max(TAGS_SHOWN, used.length));
  return html`<div class="dialog-head"><h2>Filter</h2>${closeButton()}</div>
    <div class="fields">
      ${pills("Status", Object.entries(STATUSES), (value) => (query.get("status") ?? "") === value, (value) => set(query, "status", value, true, true), "radio")}
      ${pills("Priority", Object.entries(text.PRIORITIES), (value) => query.getAll("priority").includes(value), (value, isOn) => set(query, "priority", value, isOn))}
      ${tags.length > 0
        ? pills("Tags", tags.map((tag) => [tag, `#${tag}`]), (value) => used.includes(value), (value, isOn) => set(query, "tag", value, isOn))
        : nothing}
      ${pills("Due", Object.entries(DUE), (value) => !hasRange(query) && (query.get("due") ?? "") === value, (value) => setDue(query, { due: value }), "radio")}
      <div class="range">
        <label>From <input type="date" .value=${live(query.get("from") ?? "")} max=${query.get("to") ?? nothing}
          @change=${(/** @type {Event} */ event) => setDue(query, { from: valueOf(event), to: query.get("to") ?? "" })}></label>
        <label>To <input type="date" .value=${live(query.get("to") ?? "")} min=${query.get("from") ?? nothing}
          @change=${(/** @type {Event} */ event) => setDue(query, { from: query.get("from") ?? "", to: valueOf(event) })}></label>
      </div>
    </div>
    ${isNarrowed(query)
      ? html`<div class="dialog-actions"><button type="button" class="quiet" @click=${() => clear(query)}>Clear all</button></div>`
      : nothing}`;
}

/**
 * @param {string} legend
 * @param {(readonly [string, string])[]} values each with its label
 * @param {(value: string) => boolean} isOn
 * @param {(value: string, isOn: boolean) => void} choose
 * @param {"radio" | "checkbox"} [type]
 */
function pills(legend, values, isOn, choose, type = "checkbox") {
  return html`<fieldset class="pills">
    <legend>${legend}</legend>
    ${values.map(
      ([value, label]) =>
        html`<label class="pill">
          <input type=${type} name=${`filter-${legend}`} .checked=${live(isOn(value))}
            @change=${(/** @type {Event} */ event) => choose(value, /** @type {HTMLInputElement} */ (event.target).checked)}>
          <bdi>${label}</bdi>
        </label>`,
    )}
  </fieldset>`;
}

/** @param {URLSearchParams} query @returns {{ label: string, name: string, value: string }[]} */
function chipsOf(query) {
  const status = query.get("status") ?? "";
  const due = query.get("due") ?? "";
  const [from, to] = [dayIn(query, "from"), dayIn(query, "to")];
  return [
    ...(status !== "" && status in STATUSES ? [{ label: String(STATUSES[status]), name: "status", value: status }] : []),
    ...query
      .getAll("priority")
      .filter((each) => each in text.PRIORITIES)
      .map((value) => ({ label: String(text.PRIORITIES[value]), name: "priority", value })),
    ...query.getAll("tag").map((value) => ({ label: `#${value}`, name: "tag", value })),
    ...(!hasRange(query) && due !== "" && due in DUE ? [{ label: `Due: ${DUE[due]}`, name: "due", value: due }] : []),
    ...(from ? [{ label: `From ${nameOfDay(from)}`, name: "from", value: from }] : []),
    ...(to ? [{ label: `Until ${nameOfDay(to)}`, name: "to", value: to }] : []),
  ];
}

/** @param {URLSearchParams} query */
function statusBy(query) {
  const status = query.get("status") ?? "";
  return status === "any" ? {} : { status: status !== "" && status in STATUSES ? [status] : OPEN };
}

/** @param {URLSearchParams} query */
function dueBy(query) {
  const day = today();
  const [from, to] = [dayIn(query, "from"), dayIn(query, "to")];
  if (from || to) {
    return { ...(from ? since(from) : {}), ...(to ? until(to) : {}) };
  }
  switch (query.get("due")) {
    case "overdue":
      return until(addDays(day, -1));
    case "today":
      return { ...since(day), ...until(day) };
    case "week":
      return { ...since(day), ...until(addDays(day, 6)) };
    default:
      return {};
  }
}

/** What is due on a day or later. @param {string} day */
function since(day) {
  return { due_after: new Date(instantOf(day).getTime() - 1).toISOString() };
}

/** What is due on a day or before. @param {string} day */
function until(day) {
  return { due_before: instantOf(addDays(day, 1)).toISOString() };
}

/** @param {URLSearchParams} query @param {"from" | "to"} name */
function dayIn(query, name) {
  const day = query.get(name) ?? "";
  return DAY.test(day) && !Number.isNaN(Date.parse(day)) ? day : null;
}

/** @param {URLSearchParams} query */
function hasRange(query) {
  return dayIn(query, "from") !== null || dayIn(query, "to") !== null;
}

/** @param {URLSearchParams} query @param {string} name @param {string} value @param {boolean} isOn @param {boolean} [isOnly] */
function set(query, name, value, isOn, isOnly = false) {
  const changed = new URLSearchParams(query);
  if (isOnly) {
    changed.delete(name);
  } else {
    changed.delete(name, value);
  }
  if (isOn && value !== "") {
    changed.append(name, value);
  }
  goTo(changed);
}

/** @param {URLSearchParams} query @param {Record<string, string>} due */
function setDue(query, due) {
  const changed = new URLSearchParams(query);
  ["due", "from", "to"].forEach((name) => changed.delete(name));
  Object.entries(due).forEach(([name, value]) => value !== "" && changed.set(name, value));
  goTo(changed);
}

/** @param {URLSearchParams} query @param {string} sort */
function setOrder(query, sort) {
  const changed = new URLSearchParams(query);
  changed.delete("sort");
  if (sort !== USUAL_SORT) {
    changed.set("sort", sort);
  }
  goTo(changed);
}

/** @param {URLSearchParams} query */
function clear(query) {
  const changed = new URLSearchParams(query);
  NAMES.forEach((name) => changed.delete(name));
  goTo(changed);
}

/** @param {URLSearchParams} query */
function goTo(query) {
  scrollTo(0, 0);
  router.go(query.size > 0 ? `?${query}` : location.pathname, { replace: true });
}

/** @param {Event} event */
function valueOf(event) {
  return /** @type {HTMLInputElement | HTMLSelectElement} */ (event.target).value;
}
