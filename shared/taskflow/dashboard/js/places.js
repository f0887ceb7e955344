/**
 * The places of the dashboard: its views, each with its path. The one table of them.
 *
 * A view is loaded as it is first shown. A new one is a module in `views/` and a line here, and its path a
 * route of functions/serve-dashboard/main.py.
 *
 * @import { TemplateResult } from "../vendor/lit-html.js"
 */

/**
 * Where the user is: a place, what its path names, and the query behind it.
 *
 * @typedef {object} Location
 * @property {Place} place
 * @property {Record<string, string>} params
 * @property {URLSearchParams} query
 */

/**
 * What a place shows. One is made each time that the user comes to the place; it is rendered whenever
 * something has changed.
 *
 * @typedef {object} View
 * @property {() => TemplateResult} render
 * @property {() => string} [title] where it is not the place's
 * @property {(location: Location) => void} [moved] the same place, with another query
 * @property {() => void} [left] the user has gone elsewhere
 */

/**
 * @typedef {object} Place
 * @property {string} name
 * @property {string} path with `{parameters}`
 * @property {string} title
 * @property {string} [icon] of the navigation, where it stands in that
 * @property {string} [key] goes there, after `g`
 * @property {"main" | "more" | "administrator"} [group] of the navigation
 * @property {boolean} [isOver] shown over the place before, and left to there
 * @property {boolean} [isPublic] shown to who has not signed in
 * @property {() => Promise<{ makeView: (location: Location) => View }>} load
 */

/** @type {Place[]} */
export const PLACES = [
  { name: "today", path: "/", title: "Today", icon: "today", key: "t", group: "main", load: () => import("./views/today.js") },
  { name: "upcoming", path: "/upcoming", title: "Upcoming", icon: "calendar", key: "u", group: "main", load: () => import("./views/upcoming.js") },
  { name: "search", path: "/search", title: "Search", icon: "search", group: "main", load: () => import("./views/search.js") },
  { name: "all", path: "/all", title: "All tasks", icon: "all", key: "a", group: "main", load: () => import("./views/all.js") },
  { name: "recurring", path: "/recurring", title: "Recurring", icon: "repeat", key: "r", group: "main", load: () => import("./views/recurring.js") },
  { name: "completed", path: "/completed", title: "Completed", icon: "done", key: "c", group: "main", load: () => import("./views/completed.js") },
  { name: "tag", path: "/tags/{tag}", title: "Tag", load: () => import("./views/tags.js") },
  { name: "tags", path: "/tags", title: "Tags", icon: "tag", load: () => import("./views/tags.js") },
  { name: "statistics", path: "/statistics", title: "Statistics", icon: "chart", key: "s", group: "more", load: () => import("./views/statistics.js") },
  { name: "task", path: "/tasks/{task_id}", title: "Task", isOver: true, load: () => import("./views/task.js") },
  { name: "inbox", path: "/inbox", title: "Inbox", icon: "inbox", key: "i", group: "main", load: () => import("./views/inbox.js") },
  { name: "settings", path: "/settings", title: "Settings", icon: "settings", key: ",", group: "more", load: () => import("./views/settings.js") },
  { name: "administration", path: "/administration", title: "Administration", icon: "shield", group: "administrator", load: () => import("./views/administration.js") },
  { name: "log-in", path: "/log-in", title: "Log in", isPublic: true, load: () => import("./views/sign-in.js") },
  { name: "register", path: "/register", title: "Create an account", isPublic: true, load: () => import("./views/sign-in.js") },
];

export const HOME = /** @type {Place} */ (PLACES[0]);
export const LOG_IN = /** @type {Place} */ (PLACES.find((place) => place.name === "log-in"));

/** Find the place at an address; undefined where there is none. @param {URL} url @returns {Location | undefined} */
export function locate(url) {
  for (const place of PLACES) {
    const names = [...place.path.matchAll(/\{(\w+)\}/g)].map((found) => String(found[1]));
    const pattern = new RegExp(`^${place.path.replace(/\{\w+\}/g, "([^/]+)")}/?$`);
    const found = pattern.exec(url.pathname);
    if (found) {
      const params = Object.fromEntries(names.map((name, at) => [name, decoded(found[at + 1] ?? "")]));
      return { place, params, query: url.searchParams };
    }
  }
  return undefined;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
