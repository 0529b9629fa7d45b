import type { Pixels } from "lesionlite-web";

/** A photo's rows from the top, upright, as RGBA. Each strip has the photo's width and height. */
export function strips(blob: Blob): AsyncGenerator<Pixels>;
