// Keeps the dashboard's files, so that it opens at once, and without a network too; and tells the user
// of what is pushed to this browser (shared/taskflow/outbound/web_push.py), or of what a page asks it to.
// Requests to the API are none of its business: they go to the network as they are.

const VERSION = "{version}";
const FILES = ["{files}"];
const PAGE = "/";
const OF_THE_API = /^\/(api|ws|health|metrics|docs|openapi\.json|asyncapi\.json|calendars|email)(\/|$)/;
const ASSETS = "/assets/";
const ICON = "/assets/{version}/icons/icon-192.png";
const BADGE = "/assets/{version}/icons/badge.png";
const DUE = { dateStyle: "medium", timeStyle: "short" };

self.addEventListener("install", (event) => {
  event.waitUntil(keep());
});

// While servers of two versions answer, the page may be of another one: then it is tried again later.
async function keep() {
  const cache = await caches.open(VERSION);
  await cache.addAll([PAGE, ...FILES]);
  const page = await cache.match(PAGE);
  if (!(await page.text()).includes(`${ASSETS}${VERSION}/`)) {
    await caches.delete(VERSION);
    throw new Error("The page is of another version.");
  }
}

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) {
        if (name !== VERSION) {
          await caches.delete(name);
        }
      }
      await self.clients.claim();
    })(),
  );
});

// The page says when: what it loads is of one version.
self.addEventListener("message", (event) => {
  if (event.data === "activate") {
    self.skipWaiting();
  } else if (event.data?.type === "notify") {
    event.waitUntil(tellUnlessSeen(event.data.told));
  }
});

self.addEventListener("push", (event) => {
  event.waitUntil(told(event.data));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(event.notification.data?.path ?? PAGE));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) {
    return;
  }
  if (request.mode === "navigate" && !OF_THE_API.test(url.pathname)) {
    event.respondWith(kept(PAGE, request));
  } else if (url.pathname.startsWith(ASSETS)) {
    event.respondWith(kept(request, request));
  }
});

async function kept(what, request) {
  const cache = await caches.open(VERSION);
  return (await cache.match(what)) ?? fetch(request);
}

// A browser may be pushed to only if each push is seen: at a page that is looked at, it makes no sound.
async function told(data) {
  await tell(data?.json() ?? {}, await isLookedAt());
}

async function tellUnlessSeen(what) {
  if (!(await isLookedAt())) {
    await tell(what, false);
  }
}

// What a page and a push tell of the same event has the same tag, and is shown once.
async function tell({ title, message, task_id: taskId, due_date: due, created_at: at }, silent) {
  await self.registration.showNotification(title ?? message ?? "TaskFlow", {
    body: (title && message) || (due ? `Due ${new Intl.DateTimeFormat(undefined, DUE).format(new Date(due))}` : ""),
    tag: at ?? "",
    timestamp: at ? Date.parse(at) : Date.now(),
    icon: ICON,
    badge: BADGE,
    dir: "auto",
    silent,
    data: { path: taskId ? `/tasks/${encodeURIComponent(taskId)}` : "/inbox" },
  });
}

async function isLookedAt() {
  return (await pages()).some((page) => page.focused);
}

function pages() {
  return self.clients.matchAll({ type: "window" });
}

// A page that is open goes there itself: it has all it needs.
async function open(path) {
  const found = await pages();
  const page = found.find((each) => each.visibilityState === "visible") ?? found[0];
  if (page) {
    page.postMessage({ type: "go", path });
    await page.focus();
  } else {
    await self.clients.openWindow(path);
  }
}
