/** Which row has the focus, and which one gets it where that goes. */

/** @param {string} id */
export function rowOf(id) {
  return document.querySelector(`[data-task="${CSS.escape(id)}"]`);
}

/** @param {Element | null} row */
export function linkOf(row) {
  return /** @type {HTMLElement | null} */ (row?.querySelector(".task-link") ?? null);
}

/** Return the id of the task whose row has the focus, or none. */
export function focusedId() {
  return focusedRow()?.getAttribute("data-task") ?? "";
}

export function focusedRow() {
  return document.activeElement?.closest("[data-task]") ?? null;
}

/** Do something that may take the row of a task away: the focus stays in it where it is, else goes to the next. @param {string} id @param {() => void} work */
export function keepingFocus(id, work) {
  const row = rowOf(id);
  const next = row && neighbour(row, 1)?.getAttribute("data-task");
  const hadFocus = row?.contains(document.activeElement) ?? false;
  work();
  if (!hadFocus) {
    return;
  }
  // It is rendered before this, in the same frame.
  requestAnimationFrame(() => {
    if (document.activeElement === document.body) {
      const link = linkOf(rowOf(id)) ?? (next ? linkOf(rowOf(next)) : null);
      link?.focus({ preventScroll: true });
      link?.scrollIntoView({ block: "nearest" });
    }
  });
}

/** Move the focus to the next row, or the one before. @param {number} by */
export function moveFocus(by) {
  const at = focusedRow();
  const rows = [...document.querySelectorAll("main [data-task]")];
  const target = at ? rows[rows.indexOf(at) + by] : rows.find(isOnScreen) ?? rows[0];
  const link = linkOf(target ?? null);
  link?.focus({ preventScroll: true });
  link?.scrollIntoView({ block: "nearest" });
}

/** @param {Element} row @param {number} by */
function neighbour(row, by) {
  const rows = [...document.querySelectorAll("[data-task]")];
  return rows[rows.indexOf(row) + by] ?? rows[rows.indexOf(row) - by] ?? null;
}

/** @param {Element} row */
function isOnScreen(row) {
  return row.getBoundingClientRect().top >= 0;
}
