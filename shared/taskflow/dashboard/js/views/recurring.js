/**
 * The tasks that recur, each with its rule and when it comes next.
 *
 * @import { Wanted } from "../lists.js"
 * @import { Section } from "../parts/rows.js"
 * @import { View } from "../places.js"
 */
import { html } from "../../vendor/lit-html.js";
import { listState } from "../parts/list-state.js";
import { Rows } from "../parts/rows.js";
import { remembered } from "../remember.js";
import { store } from "../store.js";

/** @type {Wanted} */
const RECURRING = { from: "tasks/recurring", recurring: true, sort: "-created_at" };

/** @returns {View} */
export function makeView() {
  const rows = new Rows();
  const sections = remembered(sectionsOf);
  return {
    render() {
      const list = store.list(RECURRING);
      // They are in order of what comes next, which is known once all are.
      if (!list.error) {
        store.more(list);
      }
      return html`<main id="content">
        <header class="view-head"><h1 tabindex="-1">Recurring</h1></header>
        ${rows.render(sections(list.ids, list.revision))}
        ${listState(list, {
          title: "Nothing recurs yet.",
          hint: "Write “every Monday”, “every 2 weeks” or “every month” where you add a task.",
          icon: "repeat",
        })}
      </main>`;
    },
    left: () => rows.stop(),
  };
}

/** @param {readonly string[]} ids @param {number} _revision @returns {Section[]} */
function sectionsOf(ids, _revision) {
  const nextOf = (/** @type {string} */ id) => store.task(id)?.next_occurrence ?? "";
  const going = ids.filter((id) => nextOf(id) !== "").sort((one, other) => (nextOf(one) < nextOf(other) ? -1 : 1));
  const over = ids.filter((id) => nextOf(id) === "");
  return [
    ...(going.length > 0 ? [{ key: "going", ids: going, shows: /** @type {const} */ ("recurrence") }] : []),
    ...(over.length > 0 ? [{ key: "over", title: "Ended", ids: over, shows: /** @type {const} */ ("recurrence") }] : []),
  ];
}
