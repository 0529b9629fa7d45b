// What the runtimes of the TFLite file share.
import { loadLiteRt, supportsFeature, Tensor } from "@litertjs/core";

/** Load LiteRT.js; the threads that it can have. */
export async function load(threads, folder) {
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
  return used;
}

/** What runs a compiled model: RGB [S, S, 3] to probabilities. */
export function runner(compiled, { side }) {
  return async (input) => {
    const image = new Tensor(input, [1, side, side, 3]);
    const [found] = await compiled.run([image]);
    const answer = await found.moveTo("wasm"); // from the GPU, if it is there
    const probabilities = answer.toTypedArray().slice(); // `delete` frees the memory
    for (const tensor of [image, answer]) tensor.delete();
    return probabilities;
  };
}
