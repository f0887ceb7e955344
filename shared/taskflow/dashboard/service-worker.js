// Keeps the dashboard's files, so that it opens at once, and without a network too.
// Requests to the API are none of its business: they go to the network as they are.

const VERSION = "{version}";
const FILES = ["{files}"];
const PAGE = "/";
const OF_THE_API = /^\/(api|ws|health|metrics|docs|openapi\.json|asyncapi\.json|calendars|email)(\/|$)/;
const ASSETS = "/assets/";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(VERSION).then((cache) => cache.addAll([PAGE, ...FILES])));
});

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
  }
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
