// The TFLite file, run by LiteRT.js on the CPU (XNNPACK).
import { loadAndCompile } from "@litertjs/core";

import { load, runner } from "./litert.js";

export const suffix = ".tflite";

/**
 * @param {Uint8Array} model the file
 * @param {import("./contract.js").Contract} contract
 * @param {number} threads 1 unless the page is cross-origin isolated
 * @param {string} [folder] of the files in @litertjs/core/wasm; else `litert/` beside the script
 * @returns {Promise<{run: (input: Uint8Array) => Promise<Float32Array>, threads: number}>} RGB
 *   [S, S, 3] to probabilities, and the threads that run
 */
export async function open(model, contract, threads, folder = "litert/") {
  const used = await load(threads, folder);
  const compiled = await loadAndCompile(model, {
    accelerator: "wasm",
    cpuOptions: { numThreads: used },
  });
  return { run: runner(compiled, contract), threads: used };
}
