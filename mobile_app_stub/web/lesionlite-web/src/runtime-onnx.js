// The ONNX file, run by ONNX Runtime Web on the CPU.
import * as ort from "onnxruntime-web/wasm";

import { opener } from "./onnx.js";

export const suffix = ".onnx";
export const open = opener(ort, "wasm");
