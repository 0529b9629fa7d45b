// Makes the page work offline: registers the service worker that caches it.

/**
 * Register the service worker, and wait until it caches what this page fetches.
 * @param {(renew: () => void) => void} onUpdate called when a newer version is ready; `renew`
 *   switches to it
 */
export async function keepOffline(onUpdate) {
  const workers = navigator.serviceWorker;
  if (!workers) return; // the page is not secure, or in a private window
  const registration = await workers.register("service-worker.js").catch(() => null);
  if (!registration) return; // for example offline, when it is registered already
  const offer = (worker) =>
    onUpdate(() => {
      workers.oncontrollerchange = () => location.reload();
      worker.postMessage("use this version");
    });
  if (registration.waiting && workers.controller) offer(registration.waiting);
  registration.onupdatefound = () => {
    const worker = registration.installing;
    worker.onstatechange = () => {
      if (worker.state === "installed" && workers.controller) offer(worker);
    };
  };
  // A forced reload bypasses an active service worker; then there is nothing to wait for.
  const { active, waiting, installing } = registration;
  if (!workers.controller) await settled(active ?? waiting ?? installing);
}

/** Wait until the worker is active, or its installation failed and the page needs the network. */
function settled(worker) {
  const done = () => ["activated", "redundant"].includes(worker.state);
  return new Promise((resolve) => {
    if (done()) resolve();
    worker.addEventListener("statechange", () => done() && resolve());
  });
}
