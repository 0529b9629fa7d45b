import * as runtime from "lesionlite-web/litert";

import { serve } from "./engine.js";

serve(runtime);
