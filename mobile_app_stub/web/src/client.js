// The page's side of a worker: sends messages to it, and returns promises of the answers.
import { problem } from "./language.js";

/** LiteRT.js loads its code with importScripts, which only classic workers have. */
const LITERT = { name: "LiteRT.js", worker: "worker-litert.js", type: "classic" };
const ONNX = { name: "ONNX Runtime Web", worker: "worker-onnx.js", type: "module" };
const onGpu = ({ name, worker, type }) => ({
  ...{ name: `${name} + WebGPU`, worker: worker.replace(".js", "-webgpu.js"), type, gpu: true },
});
export const RUNTIMES = {
  litert: LITERT,
  onnx: ONNX,
  "litert-webgpu": onGpu(LITERT),
  "onnx-webgpu": onGpu(ONNX),
};

export class Client {
  /** @param {keyof typeof RUNTIMES} runtime */
  constructor(runtime) {
    const { name, worker, type } = RUNTIMES[runtime];
    this.waiting = new Map();
    this.asked = 0;
    this.worker = new Worker(worker, { type });
    this.worker.onmessage = ({ data }) => this.#settle(data);
    this.worker.onerror = () => this.#fail("notStarted", { runtime: name });
  }

  /**
   * @param {"load"|"classify"|"selfTest"} ask the method of the engine in the worker
   * @param {object} settings the arguments of the method
   * @returns {Promise<any>} rejects with a Problem
   */
  ask(ask, settings = {}) {
    const id = this.asked++;
    const answer = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    this.worker.postMessage({ id, ask, ...settings });
    return answer;
  }

  close() {
    this.worker.terminate();
    this.#fail("otherChosen");
  }

  #settle({ id, answer, code, values }) {
    const { resolve, reject } = this.waiting.get(id);
    this.waiting.delete(id);
    if (code) reject(problem(code, values));
    else resolve(answer);
  }

  #fail(code, values) {
    for (const { reject } of this.waiting.values()) reject(problem(code, values));
    this.waiting.clear();
  }
}
