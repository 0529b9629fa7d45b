// Keeps the page for visits without a network. build.mjs fills SHELL and VERSION in.
/* global SHELL, VERSION */

const CACHE = `lesionlite-${VERSION}`; // another content, another cache: versions never mix

self.addEventListener("install", (event) => {
  // The runtimes are left out: of each, a browser uses one of several builds, kept on first use.
  const fresh = SHELL.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
      await self.clients.claim(); // the first visit's page: what it loads from now on is kept
    })(),
  );
});

self.addEventListener("message", ({ data }) => {
  if (data === "use this version") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const elsewhere = new URL(event.request.url).origin !== self.location.origin;
  event.respondWith(elsewhere ? Response.error() : answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return isolated(kept);
  const response = await fetch(request);
  if (request.method === "GET" && response.status === 200)
    await cache.put(request, response.clone());
  return isolated(response);
}

/** Only an isolated page may use threads, and many static hosts cannot send these headers. */
function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, headers });
}
