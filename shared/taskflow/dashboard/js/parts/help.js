/** The help: all keys that there are. */
import { html } from "../../vendor/lit-html.js";
import { allShortcuts, areCharactersOn, useCharacters } from "../keyboard.js";
import { update } from "../update.js";
import { closeButton, openDialog } from "./dialog.js";

/** @type {Record<string, string>} */
const SHOWN = { ArrowDown: "Down", ArrowUp: "Up", Delete: "Del" };

export function openHelp() {
  openDialog({ label: "Keys", kind: "help", render });
}

function render() {
  return html`<header class="dialog-head"><h2>Keys</h2>${closeButton()}</header>
    ${[...allShortcuts()].map(
      ([group, shortcuts]) =>
        html`<section>
          <h3>${group}</h3>
          <dl class="keys">
            ${[...Map.groupBy(shortcuts, (each) => each.label)].map(
              ([label, same]) =>
                html`<div>
                  <dt>${label}</dt>
                  <dd>${same.map(({ keys }) => html`<span>${keys.split(" ").map((key) => html`<kbd>${SHOWN[key] ?? key}</kbd>`)}</span>`)}</dd>
                </div>`,
            )}
          </dl>
        </section>`,
    )}
    <section>
      <label class="setting-toggle">
        <span>Letters and signs are shortcuts <small class="muted">Off, they do nothing where nobody types.</small></span>
        <input type="checkbox" role="switch" .checked=${areCharactersOn()} @change=${change}>
      </label>
    </section>`;
}

/** @param {Event} event */
function change(event) {
  useCharacters(/** @type {HTMLInputElement} */ (event.target).checked);
  update();
}
