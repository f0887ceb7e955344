/**
 * The keys of the page: one, or two after one another, where nobody is typing.
 */
const SECOND_WITHIN_MS = 1_500;
const OFF = "taskflow.keys-off";

/** The groups that come first in the help, in their order. */
const GROUPS = ["Anywhere", "Go to"];

/**
 * @typedef {object} Shortcut
 * @property {string} keys as `KeyboardEvent.key` has them, `g t` for one after the other
 * @property {string} label
 * @property {string} group
 * @property {(event: KeyboardEvent) => void} run
 * @property {() => boolean} [isOn]
 */

/** @type {Shortcut[]} */
const shortcuts = [];

let first = "";
let firstAt = 0;

/** Take shortcuts; returns what takes them back. @param {Shortcut[]} added */
export function shortcut(...added) {
  shortcuts.push(...added);
  return () => {
    for (const each of added) {
      shortcuts.splice(shortcuts.indexOf(each), 1);
    }
  };
}

/** Whether letters and signs are shortcuts: who speaks to their computer may not want that (WCAG 2.1.4). */
export function areCharactersOn() {
  return localStorage.getItem(OFF) === null;
}

/** @param {boolean} areOn */
export function useCharacters(areOn) {
  if (areOn) {
    localStorage.removeItem(OFF);
  } else {
    localStorage.setItem(OFF, "");
  }
}

/** All that there are, by their group, for the help. */
export function allShortcuts() {
  const place = (/** @type {Shortcut} */ { group }) => (GROUPS.includes(group) ? GROUPS.indexOf(group) : GROUPS.length);
  return Map.groupBy(shortcuts.toSorted((one, other) => place(one) - place(other)), (each) => each.group);
}

addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) {
    return;
  }
  if (event.key.length === 1 && !areCharactersOn()) {
    return;
  }
  if (isTyped(event) || document.querySelector("dialog[open]:modal")) {
    return;
  }
  const both = Date.now() - firstAt < SECOND_WITHIN_MS ? `${first} ${event.key}` : "";
  first = "";
  const found =
    shortcuts.findLast((each) => each.keys === both && each.isOn?.() !== false) ??
    shortcuts.findLast((each) => each.keys === event.key && each.isOn?.() !== false);
  if (found) {
    event.preventDefault();
    found.run(event);
  } else if (shortcuts.some((each) => each.keys.startsWith(`${event.key} `))) {
    first = event.key;
    firstAt = Date.now();
  }
});

/** Whether a key goes to where text is typed, or a choice is made. @param {KeyboardEvent} event */
function isTyped(event) {
  const at = event.target;
  return (
    at instanceof HTMLElement &&
    (at.isContentEditable || at.matches("input:not([type=checkbox], [type=radio]), textarea, select"))
  );
}
