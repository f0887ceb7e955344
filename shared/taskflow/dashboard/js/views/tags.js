/**
 * The tasks with a tag, or where the address names none, all tags.
 *
 * @import { Location, View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { filterChips, filterTools, isNarrowed, wantedBy } from "../parts/filters.js";
import { icon } from "../parts/icons.js";
import { listState } from "../parts/list-state.js";
import { usually } from "../parts/quick-add.js";
import { Rows } from "../parts/rows.js";
import { store } from "../store.js";
import { openTags, pathOfTag } from "../tags.js";
import * as text from "../text.js";

/** @param {Location} location @returns {View} */
export function makeView({ params, query }) {
  let filter = query;
  const inPath = params["tag"];
  const tag = () => inPath ?? filter.get("tag") ?? "";
  const list = () => store.list(wantedBy(filter, inPath));
  const rows = new Rows({ atEnd: () => tag() !== "" && store.more(list()) });
  usually(() => {
    const here = tag();
    const words = here.includes('"') ? `#“${here}”` : `#"${here}"`;
    // There is no third way to quote.
    return here === "" || /".*”|”.*"/s.test(here) ? null : { words, becomes: () => ({ tags: [here] }) };
  });
  return {
    title: () => (tag() === "" ? "Tags" : `#${tag()}`),
    render() {
      if (tag() === "") {
        return allTags();
      }
      return html`<main id="content">
        <header class="view-head">
          <h1 tabindex="-1" class="tag-title"><span class="hash" aria-hidden="true">#</span><bdi>${tag()}</bdi></h1>
          ${filterTools(() => filter)}
        </header>
        ${filterChips(filter)} ${rows.render([{ key: `${tag()} ${filter}`, ids: list().ids }])}
        ${listState(
          list(),
          isNarrowed(filter)
            ? { title: "No task matches.", icon: "filter" }
            : { title: "No open task has this tag.", hint: "What you add here gets it.", icon: "tag" },
        )}
      </main>`;
    },
    moved(location) {
      filter = location.query;
    },
    left: () => {
      rows.stop();
      usually(() => null);
    },
  };
}

function allTags() {
  const tags = openTags();
  return html`<main id="content">
    <header class="view-head"><h1 tabindex="-1">Tags</h1></header>
    ${tags.length > 0
      ? html`<ul class="all-tags" role="list">
          ${tags.map(
            ({ tag, count }) =>
              html`<li><a class="place" href=${pathOfTag(tag)}>${icon("tag")}<bdi>${tag}</bdi>
                <span class="count" aria-label=${text.counted(count, "task")}>${count}</span></a></li>`,
          )}
        </ul>`
      : html`<div class="empty">
          <span class="empty-icon">${icon("tag")}</span>
          <p>No open task has a tag.</p>
          <p class="muted">Write #home where you add a task.</p>
        </div>`}
  </main>`;
}
