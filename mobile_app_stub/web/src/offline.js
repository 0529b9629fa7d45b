// Makes the page work offline: registers the service worker that caches it.

/**
 * Register the service worker, and wait until it caches what this page fetches.
 * @param {(renew: () => void) => void} onUpdate called when a newer version is ready; `renew`
 *   switches to it
 */
export async function keepOffline(onUpdate) {
  const workers = navigator.serviceWorker;
  if (!workers) return; // the page is not secure, or in a private window
  // One file that does not arrive lets the whole installation fail, so it may fail once.
  const registration = (await register(workers)) ?? (await register(workers));
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
}

/** The registration, with an active worker; null if its installation failed. */
async function register(workers) {
  const registration = await workers.register("service-worker.js").catch(() => null);
  if (!registration || workers.controller) return registration;
  // A forced reload bypasses an active service worker; then there is nothing to wait for.
  const { active, waiting, installing } = registration;
  return (await isActive(active ?? waiting ?? installing)) ? registration : null;
}

/** Wait until the worker is active, or its installation has failed. */
function isActive(worker) {
  const done = () => ["activated", "redundant"].includes(worker?.state ?? "redundant");
  return new Promise((resolve) => {
    const settle = () => done() && resolve(worker?.state === "activated");
    settle();
    worker?.addEventListener("statechange", settle);
  });
}
