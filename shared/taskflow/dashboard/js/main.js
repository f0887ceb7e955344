/** The start: what was kept is shown at once, then what the server says, then what happens. */
import { render } from "../vendor/lit-html.js";
import * as changes from "./changes.js";
import * as conflicts from "./conflicts.js";
import { untilMidnightMs, useZone } from "./dates.js";
import { inbox } from "./inbox.js";
import { shortcut, useCharacters } from "./keyboard.js";
import { live } from "./live.js";
import * as offline from "./offline.js";
import { closeDialog } from "./parts/dialog.js";
import { openHelp } from "./parts/help.js";
import { forgetLine, keepLine, openQuickAdd, takeUpLine } from "./parts/quick-add.js";
import { focusedId, linkOf, rowOf } from "./parts/row-focus.js";
import { PLACES } from "./places.js";
import { forgetReminders } from "./reminders.js";
import { router } from "./router.js";
import { session } from "./session.js";
import { shell } from "./shell.js";
import { store } from "./store.js";
import * as text from "./text.js";
import { thisBrowser } from "./this-browser.js";
import { clearToasts, say } from "./toasts.js";
import { afterRender, renderBy, update } from "./update.js";

const SNAPSHOT_EVERY_MS = 1_000;
const NEWER_ASKED_EVERY_MS = 3_600_000;

const root = /** @type {HTMLElement} */ (document.getElementById("app"));

/** What was rendered last. @type {object | undefined} */
let view;

renderBy(() => {
  const id = focusedId();
  render(shell(), root);
  // A row that is put elsewhere loses the focus, which is to stay in it.
  if (id !== "" && document.activeElement === document.body && view === router.base?.view) {
    linkOf(rowOf(store.idOf(id)))?.focus({ preventScroll: true });
  }
  view = router.base?.view;
});
afterRender(showUnread);

let userId = "";

/** @type {ReturnType<typeof setTimeout> | undefined} */
let snapshotTimer;

/** Begin for who has signed in, with what was kept of them. */
async function begin() {
  const { user } = session;
  if (!user) {
    return;
  }
  if (userId !== user.id) {
    userId = user.id;
    store.clear();
    inbox.clear();
    useZone(user.timezone);
    offline.openFor(user.id);
    const kept = await offline.keptSnapshot();
    if (kept) {
      store.restore(kept);
      inbox.restore(kept.inbox);
    }
  }
  await conflicts.start();
  await changes.start();
  live.start();
  inbox.start();
}

/** End for who has signed out: nothing of theirs stays. */
async function end() {
  live.stop();
  keepLine();
  closeDialog();
  clearToasts();
  forgetReminders();
  if (session.state === "signed-out") {
    userId = "";
    useCharacters(true);
    clearTimeout(snapshotTimer);
    store.clear();
    changes.clear();
    conflicts.clear();
    inbox.clear();
    forgetLine();
    await thisBrowser.forget();
    await offline.forget();
    if (navigator.onLine || navigator.serviceWorker?.controller) {
      // What was typed, or read by one part alone, goes with the page.
      location.reload();
    }
  }
}

let state = session.state;
session.listeners.add(async () => {
  if (session.user) {
    useZone(session.user.timezone);
  }
  if (session.state !== state) {
    state = session.state;
    await (state === "signed-in" ? begin() : end());
    await router.again();
    if (session.state === "signed-in") {
      takeUpLine();
    }
  }
  update();
});

conflicts.listeners.add(({ change, title }) => {
  const path = `/tasks/${store.idOf(change.task_id ?? "")}`;
  if (location.pathname !== path) {
    say(text.clashed(title), { isLasting: true, action: { label: "Choose", run: () => router.go(path) } });
  }
});

live.backListeners.add(() => {
  changes.sendNow();
  store.retry();
  inbox.retry();
});

store.messageListeners.add(keepSoon);
store.readListeners.add(keepSoon);
addEventListener("pagehide", keepSnapshot);
addEventListener("pagehide", keepLine);

function keepSoon() {
  clearTimeout(snapshotTimer);
  snapshotTimer = setTimeout(keepSnapshot, SNAPSHOT_EVERY_MS);
}

function keepSnapshot() {
  if (session.state === "signed-in" && store.seq !== null) {
    void offline.keepSnapshot({ ...store.snapshot(), inbox: inbox.snapshot() });
  }
}

let unread = 0;

/** Have the title say where the user is, and what waits for them; so does the icon of an installed page. */
function showUnread() {
  const count = session.state === "signed-in" ? inbox.unread : 0;
  const title = `${count > 0 ? `(${inbox.unreadLabel}) ` : ""}${router.title} · TaskFlow`;
  if (router.title !== "" && document.title !== title) {
    document.title = title;
  }
  if (count !== unread) {
    unread = count;
    void navigator.setAppBadge?.(count).catch(() => {});
  }
}

/** Show the new day as it begins. */
function atMidnight() {
  setTimeout(() => {
    update();
    atMidnight();
  }, Math.min(untilMidnightMs() + 100, 3_600_000));
}

shortcut(
  { keys: "q", group: "Anywhere", label: "Add a task", run: openQuickAdd },
  { keys: "/", group: "Anywhere", label: "Search", run: () => router.go("/search") },
  { keys: "z", group: "Anywhere", label: "Undo", run: changes.undo },
  { keys: "?", group: "Anywhere", label: "These keys", run: openHelp },
  { keys: "Escape", group: "Anywhere", label: "Leave what is open", run: () => router.close(), isOn: () => router.over !== null },
  ...PLACES.flatMap(({ key, path, title }) =>
    key ? [{ keys: `g ${key}`, group: "Go to", label: title, run: () => router.go(path) }] : [],
  ),
);

navigator.serviceWorker?.addEventListener("message", ({ data }) => {
  if (data?.type === "go") {
    router.go(data.path);
  }
});

/** Have the files kept, and say when there are newer ones. */
async function keepFiles() {
  if (!("serviceWorker" in navigator)) {
    return;
  }
  const { serviceWorker } = navigator;
  let isKept = serviceWorker.controller !== null;
  const registered = await serviceWorker.register(trusted("/service-worker.js")).catch(() => null);
  if (registered === null) {
    // There is no network just now: the next page that is loaded tries again.
    return;
  }
  let takeBack = () => {};
  /** @param {() => void} reload */
  const offer = (reload) => {
    takeBack();
    takeBack = say(text.NEW_VERSION, { isLasting: true, action: { label: "Reload", run: reload } });
  };
  const sayNewer = () => {
    if (registered.waiting && isKept) {
      // By then another tab may have had it begin, or an even newer one may wait.
      offer(() => (registered.waiting ? registered.waiting.postMessage("activate") : location.reload()));
    }
  };
  const look = () => void registered.update().then(sayNewer, () => {});
  sayNewer();
  registered.addEventListener("updatefound", () => {
    registered.installing?.addEventListener("statechange", sayNewer);
  });
  serviceWorker.addEventListener("controllerchange", () => {
    if (isKept && isTyping()) {
      offer(() => location.reload());
    } else if (isKept) {
      location.reload();
    }
    isKept = true;
  });
  // A browser looks by itself as a page is loaded, and this one may be open for weeks.
  live.backListeners.add(look);
  setInterval(look, NEWER_ASKED_EVERY_MS);
}

/** Whether the user may be in the midst of something that a reload would lose. */
function isTyping() {
  return document.querySelector("dialog[open]") !== null || document.activeElement?.matches("input, textarea") === true;
}

/** @param {string} url @returns {string} */
function trusted(url) {
  const { trustedTypes } = /** @type {any} */ (globalThis);
  return trustedTypes ? trustedTypes.createPolicy("taskflow", { createScriptURL: (/** @type {string} */ is) => is }).createScriptURL(url) : url;
}

if (session.state === "signed-in") {
  await begin();
}
await router.start();
if (session.state === "signed-in") {
  takeUpLine();
}
atMidnight();
void keepFiles().then(() => thisBrowser.look());
