import type { Contract, Pixels } from "lesionlite-web";

/** A photo's rows from the top, upright, as RGBA. Each strip has the photo's width and height. */
export function strips(blob: Blob): AsyncGenerator<Pixels>;

/** The model's input of a photo, RGB [S, S, 3]. */
export function toInput(blob: Blob, contract: Contract): Promise<Uint8Array>;
