import * as runtime from "lesionlite-web/onnx";

import { serve } from "./engine.js";

serve(runtime);
