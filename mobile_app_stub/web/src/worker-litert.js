import { serve } from "./engine.js";
import * as runtime from "./runtime-litert.js";

serve(runtime);
