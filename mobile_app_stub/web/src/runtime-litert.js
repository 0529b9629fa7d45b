// The TFLite file, run by LiteRT.js on the CPU (XNNPACK).
import { loadAndCompile, loadLiteRt, supportsFeature, Tensor } from "@litertjs/core";

export const suffix = ".tflite";

const FOLDER = new URL("litert/", self.location).href;

/**
 * @param {Uint8Array} model the file
 * @param {import("./contract.js").Contract} contract
 * @param {number} threads 1 unless the page is cross-origin isolated
 * @returns {Promise<(input: Uint8Array) => Promise<Float32Array>>} RGB [S, S, 3] to probabilities
 */
export async function open(model, contract, threads) {
  const several = threads > 1 && (await supportsFeature("relaxedSimd"));
  // In a worker, LiteRT.js 2.5.3 looks for its WebAssembly file beside the worker's script, and
  // starts its threads from that script. This tells it where they are. It can be removed when
  // loadLiteRt does so (createWasmLib in @litertjs/wasm-utils accepts a locator, but gets none).
  self.Module = {
    locateFile: (file) => FOLDER + file,
    mainScriptUrlOrBlob: `${FOLDER}litert_wasm_threaded_internal.js`,
  };
  await loadLiteRt(FOLDER, { threads: several });
  const compiled = await loadAndCompile(model, {
    accelerator: "wasm",
    cpuOptions: { numThreads: several ? threads : 1 },
  });
  const shape = [1, contract.side, contract.side, 3];
  return async (input) => {
    const image = new Tensor(input, shape);
    const [answer] = await compiled.run([image]);
    const probabilities = answer.toTypedArray().slice(); // `delete` frees the memory
    for (const tensor of [image, answer]) tensor.delete();
    return probabilities;
  };
}
