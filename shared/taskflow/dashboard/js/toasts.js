/** Short messages at the edge of the page, some with something to do about them. */
import { update } from "./update.js";

const SHOWN_MS = 6_000;
const TOASTS_MAX = 3;

/**
 * @typedef {object} Toast
 * @property {number} id
 * @property {string} text
 * @property {{ label: string, run: () => void } | null} action
 * @property {boolean} isError
 * @property {boolean} isLasting
 */

/** @type {Toast[]} */
let toasts = [];
let lastId = 0;

export function shownToasts() {
  return toasts;
}

/**
 * Show a message for a while; returns what takes it away.
 *
 * @param {string} text
 * @param {{ action?: { label: string, run: () => void }, isError?: boolean, isLasting?: boolean }} [options]
 */
export function say(text, { action, isError = false, isLasting = false } = {}) {
  lastId += 1;
  const toast = { id: lastId, text, action: action ?? null, isError, isLasting };
  toasts = [...toasts, toast];
  if (toasts.length > TOASTS_MAX) {
    // Those that last wait to be answered.
    const first = toasts.find((each) => !each.isLasting) ?? toasts[0];
    toasts = toasts.filter((each) => each !== first);
  }
  update();
  const dismiss = () => {
    toasts = toasts.filter((each) => each !== toast);
    update();
  };
  if (!isLasting) {
    leaveLater(dismiss);
  }
  return dismiss;
}

/** Take all messages away: they are for who was here. */
export function clearToasts() {
  toasts = [];
  update();
}

/** Take a message away after a while, but not while somebody is at it. @param {() => void} dismiss */
function leaveLater(dismiss) {
  setTimeout(() => {
    if (document.querySelector(".toasts:hover, .toasts:focus-within")) {
      leaveLater(dismiss);
    } else {
      dismiss();
    }
  }, SHOWN_MS);
}
