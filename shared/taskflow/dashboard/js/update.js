/** When the page is rendered: once for all that changed in a turn, before the next paint. */

/** @type {() => void} */
let render = () => {};
let isWaiting = false;

/** @type {Set<() => void>} */
const afterwards = new Set();

/** @param {() => void} renderer */
export function renderBy(renderer) {
  render = renderer;
}

/** Have something done after each rendering; returns what ends that. @param {() => void} work */
export function afterRender(work) {
  afterwards.add(work);
  return () => afterwards.delete(work);
}

/** Have the page rendered, for something that it shows has changed. */
export function update() {
  if (isWaiting) {
    return;
  }
  isWaiting = true;
  // Nothing is painted of a hidden page, whose frames do not come.
  if (document.hidden) {
    setTimeout(now);
  } else {
    requestAnimationFrame(now);
  }
}

/** Render at once: who asks goes on with what is then there. */
export function now() {
  isWaiting = false;
  render();
  afterwards.forEach((work) => work());
}

document.addEventListener("visibilitychange", () => {
  if (isWaiting) {
    now();
  }
});
