/**
 * All open tasks, filtered and sorted as the address says.
 *
 * @import { Wanted } from "../lists.js"
 * @import { Location, View } from "../places.js"
 */
import { html, nothing } from "../../vendor/lit-html.js";
import { OPEN } from "../lists.js";
import { icon } from "../parts/icons.js";
import { listState } from "../parts/list-state.js";
import { Rows } from "../parts/rows.js";
import { router } from "../router.js";
import { store } from "../store.js";
import * as text from "../text.js";

const SORTS = /** @type {const} */ ({
  "-created_at": "Newest first",
  due_date: "Due date",
  "-priority": "Priority",
  title: "Title",
  "-updated_at": "Last changed",
});

/** @param {Location} location @returns {View} */
export function makeView({ query }) {
  let filter = query;
  const rows = new Rows({ atEnd: () => store.more(store.list(wantedBy(filter))) });

  /** @param {string} name @param {string} value */
  function set(name, value) {
    const changed = new URLSearchParams(filter);
    if (value === "") {
      changed.delete(name);
    } else {
      changed.set(name, value);
    }
    router.go(changed.size > 0 ? `/all?${changed}` : "/all", { replace: true });
  }

  return {
    render() {
      const wanted = wantedBy(filter);
      const list = store.list(wanted);
      return html`<main id="content">
        <header class="view-head">
          <h1 tabindex="-1">All tasks</h1>
          <div class="view-tools">
            ${choice("Priority", "filter", { "": "Any priority", ...text.PRIORITIES }, filter.get("priority") ?? "", (value) =>
              set("priority", value),
            )}
            ${choice("Order", "sort", SORTS, wanted.sort, (value) => set("sort", value === "-created_at" ? "" : value))}
          </div>
        </header>
        ${rows.render([{ key: `all ${filter}`, ids: list.ids }])}
        ${listState(
          list,
          filter.size > 0 ? { title: "No task matches.", icon: "filter" } : { title: text.NO_TASKS, hint: text.NO_TASKS_HINT },
        )}
      </main>`;
    },
    moved(location) {
      filter = location.query;
    },
    left: () => rows.stop(),
  };
}

/** @param {URLSearchParams} filter @returns {Wanted} */
function wantedBy(filter) {
  const sort = /** @type {Wanted["sort"]} */ (filter.get("sort"));
  const priority = filter.getAll("priority").filter((each) => each in text.PRIORITIES);
  return {
    status: OPEN,
    ...(priority.length > 0 ? { priority } : {}),
    sort: sort in SORTS ? sort : "-created_at",
  };
}

/**
 * @param {string} label
 * @param {string} iconName
 * @param {Record<string, string>} choices
 * @param {string} chosen
 * @param {(value: string) => void} choose
 */
function choice(label, iconName, choices, chosen, choose) {
  return html`<label class="choice" title=${label}>
    ${icon(iconName)}<span class="only-read">${label}</span>
    <select @change=${(/** @type {Event} */ event) => choose(/** @type {HTMLSelectElement} */ (event.target).value)}>
      ${Object.entries(choices).map(
        ([value, shown]) => html`<option value=${value} ?selected=${value === chosen}>${shown ?? nothing}</option>`,
      )}
    </select>
  </label>`;
}
