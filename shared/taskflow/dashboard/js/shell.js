/**
 * What is around each view: the navigation, the connection, dialogs and toasts.
 *
 * @import { Place } from "./places.js"
 */
import { html, nothing } from "../vendor/lit-html.js";
import { inbox } from "./inbox.js";
import { connection } from "./parts/connection.js";
import { dialog } from "./parts/dialog.js";
import { openHelp } from "./parts/help.js";
import { icon } from "./parts/icons.js";
import { openQuickAdd } from "./parts/quick-add.js";
import { reminderCards } from "./parts/reminder-cards.js";
import { toasts } from "./parts/toasts.js";
import { PLACES } from "./places.js";
import { router } from "./router.js";
import { session } from "./session.js";
import { store } from "./store.js";
import { openTags, pathOfTag } from "./tags.js";
import * as text from "./text.js";
import { thisBrowser } from "./this-browser.js";
import { say } from "./toasts.js";
import { update } from "./update.js";
import { dueToday } from "./views/today.js";

const TAGS_SHOWN = 7;

let isDrawerOpen = false;

/** Where what is shown over a place covers it. */
const phone = matchMedia("(max-width: 767px)");
phone.addEventListener("change", update);

/** The whole page. */
export function shell() {
  const { base, over } = router;
  if (!base) {
    return html`<div class="starting" aria-busy="true"></div>`;
  }
  if (base.place.isPublic) {
    return html`${base.view.render()} ${toasts()}`;
  }
  return html`<a class="skip" href="#content">Skip to the tasks</a>
    <div
      class="shell ${isDrawerOpen ? "has-drawer" : ""} ${over ? "has-panel" : ""}"
      ?inert=${over !== null && phone.matches}
      @click=${closeDrawer}
    >
      <header class="bar">
        <button type="button" class="quiet round" aria-label="Menu" aria-expanded=${isDrawerOpen} @click=${toggleDrawer}>${icon("menu")}</button>
        <span class="spring"></span>
        ${connection()}
        <a class="bar-inbox" href="/inbox" aria-label="Inbox">${icon("inbox")}${unread()}</a>
      </header>
      <nav class="side" aria-label="TaskFlow">
        <a class="brand" href="/"><span class="logo">${icon("check")}</span> TaskFlow</a>
        <button type="button" class="add" @click=${openQuickAdd}>${icon("add")} Add task <kbd>q</kbd></button>
        ${places(placesOf("main"))}
        ${places([...placesOf("more"), ...(session.isAdministrator ? placesOf("administrator") : [])])}
        ${tags()}
        <div class="side-foot">
          ${connection()}
          <div class="account">
            <span class="account-name" title=${session.user?.email ?? ""}>${session.user?.email ?? "Signed in"}</span>
            <button type="button" class="quiet round" aria-label="Keys" title="Keys (?)" @click=${openHelp}>${icon("keyboard")}</button>
            <button type="button" class="quiet round" aria-label="Log out" title="Log out" @click=${logOut}>${icon("leave")}</button>
          </div>
        </div>
      </nav>
      ${base.view.render()}
      <nav class="bottom" aria-label="Places">
        ${placesOf("main").slice(0, 2).map(tab)}
        <button type="button" class="add" aria-label="Add task" @click=${openQuickAdd}>${icon("add")}</button>
        ${placesOf("main").slice(2, 3).map(tab)}
        <button type="button" class="tab" @click=${toggleDrawer}>${icon("more")}<span>More</span></button>
      </nav>
    </div>
    ${over ? over.view.render() : nothing} ${dialog()} ${reminderCards()} ${toasts()}`;
}

/** @param {Place["group"]} group */
function placesOf(group) {
  return PLACES.filter((place) => place.group === group);
}

/** @param {Place[]} found */
function places(found) {
  return found.length === 0 ? nothing : html`<ul role="list">${found.map(link)}</ul>`;
}

/** @param {Place} place */
function link(place) {
  return html`<li>
    <a class="place" href=${place.path} aria-current=${isHere(place) ? "page" : nothing}>
      ${icon(place.icon ?? "")}<span>${place.title}</span>${count(place)}
    </a>
  </li>`;
}

/** The tags that are used most, in the order of the alphabet, so that they stay where they are. */
function tags() {
  const all = openTags();
  if (all.length === 0) {
    return nothing;
  }
  const shown = all.slice(0, TAGS_SHOWN).sort((one, other) => one.tag.localeCompare(other.tag));
  const here = router.base?.params["tag"];
  return html`<h2 class="side-title" id="tags-title">Tags</h2>
    <ul role="list" aria-labelledby="tags-title">
      ${shown.map(
        ({ tag, count }) =>
          html`<li><a class="place" href=${pathOfTag(tag)} aria-current=${tag === here ? "page" : nothing}>
            ${icon("tag")}<span class="place-name" dir="auto">${tag}</span><span class="count">${count}<span class="only-read"> open</span></span>
          </a></li>`,
      )}
      ${all.length > TAGS_SHOWN
        ? html`<li><a class="place" href="/tags" aria-current=${router.base?.place.name === "tags" ? "page" : nothing}>${icon("more")}<span>All tags</span></a></li>`
        : nothing}
    </ul>`;
}

/** @param {Place} place */
function tab(place) {
  return html`<a class="tab" href=${place.path} aria-current=${isHere(place) ? "page" : nothing}>${icon(place.icon ?? "")}<span>${place.title}</span></a>`;
}

/** @param {Place} place */
function isHere(place) {
  return router.base?.place === place;
}

/** @param {Place} place */
function count(place) {
  if (place.name === "inbox") {
    return unread();
  }
  if (place.name !== "today") {
    return nothing;
  }
  const list = store.list(dueToday());
  return list.ids.length === 0
    ? nothing
    : html`<span class="count">${list.ids.length}${list.hasMore ? "+" : ""}<span class="only-read"> due</span></span>`;
}

function unread() {
  return inbox.unread === 0
    ? nothing
    : html`<span class="count is-unread">${inbox.unreadLabel}<span class="only-read"> unread</span></span>`;
}

/** @param {Event} event */
function toggleDrawer(event) {
  event.stopPropagation();
  isDrawerOpen = !isDrawerOpen;
  update();
}

/** @param {Event} event */
function closeDrawer(event) {
  const isElsewhere = !(/** @type {Element} */ (event.target).closest(".side")) || /** @type {Element} */ (event.target).closest("a, button");
  if (isDrawerOpen && isElsewhere) {
    isDrawerOpen = false;
    update();
  }
}

async function logOut() {
  await thisBrowser.leave();
  try {
    await session.logOut();
  } catch (error) {
    say(text.refused(/** @type {any} */ (error)), { isError: true });
  }
}
