// The ONNX file, run by ONNX Runtime Web on the GPU, by another, larger WebAssembly file.
import * as ort from "onnxruntime-web/webgpu";

import { opener } from "./onnx.js";
import { guarded } from "./webgpu.js";

export const suffix = ".onnx";
const openOnGpu = opener(ort, "webgpu");

/** The arguments are those of `lesionlite-web/onnx`. */
export async function open(...settings) {
  const { run, threads } = await openOnGpu(...settings);
  return { run: guarded(run, await ort.env.webgpu.device), threads };
}
