// The ONNX file, run by ONNX Runtime Web on the CPU.
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";

export const suffix = ".onnx";

/**
 * @param {Uint8Array} model the file
 * @param {import("./contract.js").Contract} contract
 * @param {number} threads 1 unless the page is cross-origin isolated
 * @returns {Promise<{run: (input: Uint8Array) => Promise<Float32Array>, threads: number}>} RGB
 *   [S, S, 3] to probabilities, and the threads that run
 */
export async function open(model, contract, threads) {
  env.wasm.wasmPaths = new URL("onnx/", self.location).href;
  env.wasm.numThreads = threads;
  const session = await InferenceSession.create(model);
  const shape = [1, contract.side, contract.side, 3];
  const run = async (input) => {
    const answers = await session.run({ [session.inputNames[0]]: new Tensor("uint8", input, shape) });
    return answers[session.outputNames[0]].data;
  };
  return { run, threads };
}
