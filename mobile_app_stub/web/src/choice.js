// Which runtime the page uses: the one that the user chose, else the one that was faster here.
//
// No rule tells which one that is. ONNX Runtime Web needs SIMD, and has threads on isolated pages.
// LiteRT.js also needs relaxed SIMD for its threads and its fast code; without it, as in Safari, it
// runs a slower file on one thread. How much that matters depends on the model and the device.
import packages from "../package.json" with { type: "json" };
import { store } from "./verdicts.js";

const KEY = "runtime";

/** What decides which runtime is faster, besides the model. */
const circumstances = () =>
  JSON.stringify([
    ...[navigator.userAgent, crossOriginIsolated, navigator.hardwareConcurrency],
    packages.dependencies,
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

/** What was remembered, or null where there is nothing, or the circumstances are others. */
export function recallChoice() {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY));
    return kept?.times && kept.of !== circumstances() ? null : kept;
  } catch {
    return null; // it is no JSON
  }
}
