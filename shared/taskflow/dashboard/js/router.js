/**
 * Where the user is, and how they get elsewhere without the page being loaded again.
 *
 * @import { Location, Place, View } from "./places.js"
 */
import { HOME, locate, LOG_IN } from "./places.js";
import { session } from "./session.js";
import { say } from "./toasts.js";
import * as text from "./text.js";
import { now, update } from "./update.js";

const RELOADED = "taskflow.reloaded";

/** @typedef {Location & { view: View }} Shown */

class Router {
  /** What is shown. @type {Shown | null} */
  base = null;

  /** What is shown over it. @type {Shown | null} */
  over = null;

  /** Whether something else is on its way. */
  isLoading = false;

  #visit = 0;

  /** How far each visit in the history was scrolled. @type {Map<number, number>} */
  #scrolled = new Map();

  #entry = 0;

  /** Show where the address says that the user is, and follow links and the history. */
  start() {
    history.scrollRestoration = "manual";
    this.#entry = Number(history.state?.entry ?? 0);
    addEventListener("popstate", (event) => {
      this.#scrolled.set(this.#entry, scrollY);
      this.#entry = Number(event.state?.entry ?? 0);
      void this.#show(new URL(location.href), this.#scrolled.get(this.#entry) ?? 0);
    });
    document.addEventListener("click", (event) => {
      const url = followed(event);
      if (url) {
        event.preventDefault();
        this.go(url);
      }
    });
    return this.#show(new URL(location.href), 0);
  }

  /** Go to an address of the dashboard. @param {string | URL} to @param {{ replace?: boolean }} [options] */
  go(to, { replace = false } = {}) {
    const url = new URL(to, location.href);
    if (url.href === location.href) {
      return;
    }
    this.#scrolled.set(this.#entry, scrollY);
    if (url.hash !== "" && url.pathname === location.pathname && url.search === location.search) {
      history.replaceState(history.state, "", url);
      this.#reveal();
      return;
    }
    if (replace) {
      const depth = locate(url)?.place.isOver ? this.#depth : 0;
      history.replaceState({ entry: this.#entry, depth }, "", url);
    } else {
      this.#entry += 1;
      // How many visits back the place is that all these are shown over.
      const depth = locate(url)?.place.isOver ? this.#depth + 1 : 0;
      history.pushState({ entry: this.#entry, depth }, "", url);
    }
    void this.#show(url, replace ? scrollY : 0);
  }

  /** Leave what is shown over the place before. */
  close() {
    if (this.#depth > 0 && this.#entry >= this.#depth) {
      history.go(-this.#depth);
    } else {
      this.go(this.base ? pathOf(this.base) : HOME.path, { replace: true });
    }
  }

  get #depth() {
    return Number(history.state?.depth ?? (this.over ? 1 : 0));
  }

  /** What the place is called that is shown. */
  get title() {
    const shown = this.over ?? this.base;
    return shown ? (shown.view.title?.() ?? shown.place.title) : "";
  }

  /** Show the place anew: another user has signed in, or nobody is any more. */
  again() {
    this.over?.view.left?.();
    this.base?.view.left?.();
    this.base = null;
    this.over = null;
    return this.#show(new URL(location.href), 0);
  }

  /** @param {URL} url @param {number} scrolled */
  async #show(url, scrolled) {
    this.#visit += 1;
    const visit = this.#visit;
    const wanted = this.#admitted(url);
    this.isLoading = true;
    update();
    try {
      if (wanted.place.isOver && !this.base) {
        this.base = await made({ place: HOME, params: {}, query: new URLSearchParams() });
      }
      const current = wanted.place.isOver ? this.over : this.base;
      const isThere = current?.place === wanted.place && sameParams(current, wanted);
      const isLaidOpen = isThere && this.over !== null && String(current.query) === String(wanted.query);
      const isSame = isThere && (isLaidOpen || current.view.moved);
      const shown = isSame ? { ...current, ...wanted } : await made(wanted);
      if (visit !== this.#visit) {
        shown.view !== current?.view && shown.view.left?.();
        return;
      }
      const hasMoved = !isSame;
      this.#put(shown, wanted.place);
      if (isSame) {
        current.view.moved?.(wanted);
      }
      this.isLoading = false;
      sessionStorage.removeItem(RELOADED);
      now();
      this.#arrive(shown, hasMoved, scrolled);
    } catch (error) {
      this.isLoading = false;
      reloadOnce(error);
    }
  }

  /** @param {Shown} shown @param {Place} place */
  #put(shown, place) {
    const wasOver = this.over;
    if (place.isOver) {
      this.over = shown;
    } else {
      if (this.base && this.base.view !== shown.view) {
        this.base.view.left?.();
      }
      this.base = shown;
      this.over = null;
    }
    if (wasOver && wasOver.view !== this.over?.view) {
      wasOver.view.left?.();
    }
  }

  /** @param {Shown} shown @param {boolean} hasMoved @param {number} scrolled */
  #arrive(shown, hasMoved, scrolled) {
    if (!hasMoved || shown.place.isOver) {
      return;
    }
    scrollTo(0, scrolled);
    if (this.#reveal()) {
      return;
    }
    // Who can't see the page is told where they are; what asks for focus itself has it.
    const heading = /** @type {HTMLElement | null} */ (document.querySelector("main h1"));
    if (!document.activeElement?.closest("main, dialog")) {
      const first = /** @type {HTMLElement | null} */ (document.querySelector("main [autofocus]"));
      (first ?? heading)?.focus({ preventScroll: true });
    }
  }

  /** Go to the part of the place that the address names; say whether there is one. */
  #reveal() {
    const part = location.hash.length > 1 ? document.getElementById(decodeURIComponent(location.hash.slice(1))) : null;
    part?.scrollIntoView({ block: "start" });
    const heading = part?.matches("[tabindex]") ? part : part?.querySelector("[tabindex]");
    /** @type {HTMLElement | null | undefined} */ (heading)?.focus({ preventScroll: true });
    return part !== null;
  }

  /** Return where to be, for who may not be where the address says. @param {URL} url @returns {Location} */
  #admitted(url) {
    const found = locate(url) ?? { place: HOME, params: {}, query: url.searchParams };
    if (session.state === "signed-in" || found.place.isPublic) {
      if (session.state === "signed-in" && found.place.isPublic) {
        history.replaceState(history.state, "", nextOf(url));
        return this.#admitted(new URL(location.href));
      }
      return found;
    }
    const next = url.pathname + url.search + url.hash;
    history.replaceState(history.state, "", next === "/" ? LOG_IN.path : `${LOG_IN.path}?next=${encodeURIComponent(next)}`);
    return { place: LOG_IN, params: {}, query: new URL(location.href).searchParams };
  }
}

export const router = new Router();

/** @param {Location} location @returns {Promise<Shown>} */
async function made(location) {
  const { makeView } = await location.place.load();
  return { ...location, view: makeView(location) };
}

/** @param {Location} one @param {Location} other */
function sameParams(one, other) {
  return JSON.stringify(one.params) === JSON.stringify(other.params);
}

/** @param {Location} at */
function pathOf({ place, params, query }) {
  const path = place.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(params[name] ?? ""));
  return query.size === 0 ? path : `${path}?${query}`;
}

/** Return the address to go on to after signing in: one of ours, and none but that. @param {URL} url */
function nextOf(url) {
  const next = url.searchParams.get("next") ?? HOME.path;
  const target = new URL(next, location.origin);
  return target.origin === location.origin ? target.pathname + target.search + target.hash : HOME.path;
}

/** Return where a click leads, if that is within the dashboard. @param {MouseEvent} event */
function followed(event) {
  const isPlain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  const link = /** @type {Element} */ (event.target).closest?.("a[href]");
  if (!isPlain || event.defaultPrevented || !(link instanceof HTMLAnchorElement) || link.target || link.download) {
    return null;
  }
  const url = new URL(link.href);
  return url.origin === location.origin && locate(url) ? url : null;
}

/**
 * Load the page again, for a part of this version can't be had: a newer one is served. Where that has
 * not helped, say so.
 *
 * @param {unknown} error
 */
function reloadOnce(error) {
  if (!(error instanceof TypeError) || sessionStorage.getItem(RELOADED) === location.pathname || !navigator.onLine) {
    say(text.LOAD_FAILED, { isError: true });
    if (!(error instanceof TypeError)) {
      throw error;
    }
    return;
  }
  sessionStorage.setItem(RELOADED, location.pathname);
  location.reload();
}
