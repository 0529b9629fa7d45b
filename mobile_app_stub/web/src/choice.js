// Which runtime the page uses: the one that the user chose, else the one that was fastest here.
//
// No rule tells which one that is. ONNX Runtime Web needs SIMD, and has threads on isolated pages.
// LiteRT.js also needs relaxed SIMD for its threads and its fast code; without it, as in Safari, it
// runs a slower file on one thread. Both can use the GPU where the browser has WebGPU and its driver
// is right. How much that matters depends on the model and the device.
import packages from "../package.json" with { type: "json" };
import { RUNTIMES } from "./client.js";
import { store } from "./verdicts.js";

const KEY = "runtime";
const PATIENCE = 2000; // milliseconds for a GPU to answer; the page waits for it
let offered; // keys in RUNTIMES

/** The keys of the runtimes that may run here: those on WebGPU where the browser has an adapter. */
export async function offerRuntimes() {
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE));
  const adapter = await Promise.race([navigator.gpu?.requestAdapter(), late]).catch(() => null);
  offered = Object.keys(RUNTIMES).filter((key) => adapter || !RUNTIMES[key].gpu);
  return offered;
}

/** What decides which runtime is fastest, besides the model. */
const circumstances = () =>
  JSON.stringify([
    ...[navigator.userAgent, crossOriginIsolated, navigator.hardwareConcurrency],
    ...[packages.dependencies, offered],
  ]);

/**
 * @param {string} runtime key in RUNTIMES
 * @param {Record<string, number>} [times] milliseconds by runtime, unless the user chose
 */
export function rememberChoice(runtime, times) {
  store(KEY, JSON.stringify(times ? { runtime, times, of: circumstances() } : { runtime }));
}

/** Forget it, so that whatever fails from now on is not measured again and again. */
export const forgetChoice = () => localStorage.removeItem(KEY);

/** What was remembered, or null where there is nothing, it may not run, or circumstances changed. */
export function recallChoice() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    if (!offered.includes(kept?.runtime)) return null;
    return kept.times && kept.of !== circumstances() ? null : kept;
  } catch {
    return null; // it is no JSON
  }
}
