// Converts a photo's file to the model's input, strip by strip: a whole one may exceed the memory.
import { Preprocessor } from "lesionlite-web";
import { strips } from "lesionlite-web/photo";

/**
 * @param {Blob} blob
 * @param {import("lesionlite-web").Contract} contract
 * @returns {Promise<Uint8Array>} RGB [S, S, 3]
 */
export async function toInput(blob, contract) {
  let preprocessor;
  for await (const strip of strips(blob)) {
    preprocessor ??= new Preprocessor(strip.width, strip.height, contract);
    preprocessor.add(strip.data, 4);
  }
  return preprocessor.finish();
}
