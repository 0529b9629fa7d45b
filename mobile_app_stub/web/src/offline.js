// The page without a network: a service worker that keeps it.

/**
 * Register it, and wait until what this page fetches from then on is kept.
 * @param {(renew: () => void) => void} onUpdate called when a newer version waits to be used
 */
export async function keepOffline(onUpdate) {
  const workers = navigator.serviceWorker;
  if (!workers) return; // a page without https, or a private window
  const registration = await workers.register("service-worker.js").catch(() => null);
  if (!registration) return; // without a network there is nothing to register, and no need to
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
  // A page that was reloaded past its service worker has none, and does not wait for one either.
  const { active, waiting, installing } = registration;
  if (!workers.controller) await settled(active ?? waiting ?? installing);
}

/** Until it controls this page, or its installation failed: then the network must do. */
function settled(worker) {
  const done = () => ["activated", "redundant"].includes(worker.state);
  return new Promise((resolve) => {
    if (done()) resolve();
    worker.addEventListener("statechange", () => done() && resolve());
  });
}
