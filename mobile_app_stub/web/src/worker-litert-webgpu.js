import * as runtime from "lesionlite-web/litert-webgpu";

import { serve } from "./engine.js";

serve(runtime);
