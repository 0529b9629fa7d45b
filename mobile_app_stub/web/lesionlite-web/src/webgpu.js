// What the runtimes on WebGPU share: the GPU can be lost, or fail and tell the device alone.
import { firstLine, Problem } from "./problem.js";

/**
 * A model's run that rejects once the GPU has failed. A runtime might wait for a lost GPU without
 * end; and after an error that it does not ask for, it would give the answer to an older image.
 * @param {(input: Uint8Array) => Promise<Float32Array>} run
 * @param {GPUDevice} device that it uses
 */
export function guarded(run, device) {
  const failure = new Promise((_, reject) => {
    device.lost.then(({ reason, message }) => reject(message || reason));
    device.addEventListener("uncapturederror", ({ error }) => reject(error));
  });
  failure.catch(() => {}); // nobody has asked yet
  return async (input) => {
    try {
      return await Promise.race([failure, run(input)]);
    } catch (error) {
      throw new Problem("gpu", { reason: firstLine(error) });
    }
  };
}
