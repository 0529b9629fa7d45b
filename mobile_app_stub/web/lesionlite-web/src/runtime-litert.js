// The TFLite file, run by LiteRT.js on the CPU (XNNPACK).
import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "@litertjs/core";

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
  const from = new URL(folder, self.location).href;
  // LiteRT.js has threads, and its fast code, only where the browser has relaxed SIMD, which
  // Safari lacks.
  const used = (await supportsFeature("relaxedSimd")) ? threads : 1;
  // In a worker, LiteRT.js 2.5.3 looks for its WebAssembly file beside the worker's script, and
  // starts its threads from that script. This tells it where they are. It can be removed when
  // loadLiteRt does so (createWasmLib in @litertjs/wasm-utils accepts a locator, but gets none).
  self.Module = {
    locateFile: (file) => from + file,
    mainScriptUrlOrBlob: `${from}litert_wasm_threaded_internal.js`,
  };
  await loadLiteRt(from, { threads: used > 1 });
  const compiled = await loadAndCompile(model, {
    accelerator: "wasm",
    cpuOptions: { numThreads: used },
  });
  const shape = [1, contract.side, contract.side, 3];
  const run = async (input) => {
    const image = new Tensor(input, shape);
    const [answer] = await compiled.run([image]);
    const probabilities = answer.toTypedArray().slice(); // `delete` frees the memory
    for (const tensor of [image, answer]) tensor.delete();
    return probabilities;
  };
  return { run, threads: used };
}
