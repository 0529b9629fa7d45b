// The TFLite file, run by LiteRT.js on the CPU (XNNPACK).
import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "@litertjs/core";

export const suffix = ".tflite";

const FOLDER = new URL("litert/", self.location).href;

/**
 * @param {Uint8Array} model the file
 * @param {import("./contract.js").Contract} contract
 * @param {number} threads 1 unless the page is cross-origin isolated
 * @returns {Promise<{run: (input: Uint8Array) => Promise<Float32Array>, threads: number}>} RGB
 *   [S, S, 3] to probabilities, and the threads that run
 */
export async function open(model, contract, threads) {
  // LiteRT.js has threads where the browser has relaxed SIMD, which Safari lacks.
  const used = (await supportsFeature("relaxedSimd")) ? threads : 1;
  // In a worker, LiteRT.js 2.5.3 looks for its WebAssembly file beside the worker's script, and
  // starts its threads from that script. This tells it where they are. It can be removed when
  // loadLiteRt does so (createWasmLib in @litertjs/wasm-utils accepts a locator, but gets none).
  self.Module = {
    locateFile: (file) => FOLDER + file,
    mainScriptUrlOrBlob: `${FOLDER}litert_wasm_threaded_internal.js`,
  };
  await loadLiteRt(FOLDER, { threads: used > 1 });
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
