/**
 * All tasks, filtered and sorted as the address says.
 *
 * @import { Location, View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { filterChips, filterTools, isNarrowed, wantedBy } from "../parts/filters.js";
import { listState } from "../parts/list-state.js";
import { Rows } from "../parts/rows.js";
import { store } from "../store.js";
import * as text from "../text.js";

/** @param {Location} location @returns {View} */
export function makeView({ query }) {
  let filter = query;
  const rows = new Rows({ atEnd: () => store.more(store.list(wantedBy(filter))) });
  return {
    render() {
      const list = store.list(wantedBy(filter));
      return html`<main id="content">
        <header class="view-head">
          <h1 tabindex="-1">All tasks</h1>
          ${filterTools(() => filter)}
        </header>
        ${filterChips(filter)} ${rows.render([{ key: `all ${filter}`, ids: list.ids }])}
        ${listState(
          list,
          isNarrowed(filter)
            ? { title: "No task matches.", icon: "filter" }
            : { title: text.NO_TASKS, hint: text.NO_TASKS_HINT },
        )}
      </main>`;
    },
    moved(location) {
      filter = location.query;
    },
    left: () => rows.stop(),
  };
}
