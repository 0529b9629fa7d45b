import { serve } from "./engine.js";
import * as runtime from "./runtime-onnx.js";

serve(runtime);
