// The TFLite file, run by LiteRT.js on the GPU. It needs no other WebAssembly file than the CPU.
import { getWebGpuDevice, loadAndCompile } from "@litertjs/core";

import { load, runner } from "./litert.js";
import { guarded } from "./webgpu.js";

export const suffix = ".tflite";

/** The arguments are those of `lesionlite-web/litert`; the CPU only waits, on one thread. */
export async function open(model, contract, threads, folder = "litert/") {
  await load(threads, folder);
  const compiled = await loadAndCompile(model, { accelerator: "webgpu" });
  // What WebGPU does not take, LiteRT.js would run on the CPU, or fail to.
  if (compiled.options.accelerator !== "webgpu" || !compiled.isFullyAccelerated)
    throw new Error("WebGPU takes only a part of it");
  return { run: guarded(runner(compiled, contract), getWebGpuDevice()), threads: 1 };
}
