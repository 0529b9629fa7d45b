// What the runtimes of the ONNX file share.

/**
 * What opens a model.
 * @param {object} ort a build of ONNX Runtime Web
 * @param {"wasm"|"webgpu"} provider of all nodes that it has code for; the CPU runs the others
 */
export function opener({ env, InferenceSession, Tensor }, provider) {
  /**
   * @param {Uint8Array} model the file
   * @param {import("./contract.js").Contract} contract
   * @param {number} threads 1 unless the page is cross-origin isolated
   * @param {string} [folder] of the files in onnxruntime-web/dist; else `onnx/` beside the script,
   *   and where there is no page (Node), the package itself
   * @returns {Promise<{run: (input: Uint8Array) => Promise<Float32Array>, threads: number}>} RGB
   *   [S, S, 3] to probabilities, and the threads that run
   */
  return async (model, contract, threads, folder = "onnx/") => {
    if (globalThis.location) env.wasm.wasmPaths = new URL(folder, location).href;
    env.wasm.numThreads = threads;
    const session = await InferenceSession.create(model, { executionProviders: [provider] });
    const used = env.wasm.numThreads; // ONNX Runtime sets it to 1 where the browser has no threads
    const shape = [1, contract.side, contract.side, 3];
    const run = async (input) => {
      const image = new Tensor("uint8", input, shape);
      const answers = await session.run({ [session.inputNames[0]]: image });
      return answers[session.outputNames[0]].data;
    };
    return { run, threads: used };
  };
}
