// Caches the page for offline use. build.mjs defines SHELL and VERSION.
/* global SHELL, VERSION */

const CACHE = `lesionlite-${VERSION}`; // one cache per version, so versions never mix

self.addEventListener("install", (event) => {
  // Not the runtimes, nor the workers on WebGPU: a browser uses one of several builds of each, and
  // may have no WebGPU. They are cached on first use.
  const fresh = SHELL.map((file) => new Request(file, { cache: "no-cache" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)));
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
      await self.clients.claim(); // also the page of the first visit
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
  if (request.method === "GET" && response.status === 200) {
    // Where the browser has no room left, the page works with the network only.
    await cache.put(request, response.clone()).catch(() => {});
  }
  return isolated(response);
}

/** Add the headers that a page needs to use threads, because many static hosts cannot. */
function isolated(response) {
  const headers = new Headers(response.headers);
  headers.set("Cross-Origin-Opener-Policy", "same-origin");
  headers.set("Cross-Origin-Embedder-Policy", "require-corp");
  return new Response(response.body, { status: response.status, headers });
}
