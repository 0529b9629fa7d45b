// The page without a network: a service worker that keeps it.

/**
 * Register it, and wait until it controls this page: what is fetched from then on is kept.
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
  if (!workers.controller) await controlled(workers, registration);
}

/** Or until the installation failed: then the page works with the network alone. */
function controlled(workers, registration) {
  return new Promise((resolve) => {
    workers.addEventListener("controllerchange", resolve, { once: true });
    const worker = registration.installing ?? registration.waiting ?? registration.active;
    worker?.addEventListener("statechange", () => worker.state === "redundant" && resolve());
    if (workers.controller || !worker) resolve();
  });
}
