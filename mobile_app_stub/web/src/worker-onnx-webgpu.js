import * as runtime from "lesionlite-web/onnx-webgpu";

import { serve } from "./engine.js";

serve(runtime);
