// Decodes a photo's file in a browser. It also runs in a worker, so that the page stays responsive.
import { Preprocessor } from "./preprocess.js";
import { Problem } from "./problem.js";

const STRIP = 1 << 20; // pixels to copy at once, because phones limit the size of a canvas

/**
 * Decode a photo, turned upright by its EXIF orientation, as strips from the top. Each has the
 * photo's width and height, and some of its rows as RGBA.
 * @param {Blob} blob
 * @returns {AsyncGenerator<{width: number, height: number, data: Uint8ClampedArray}>}
 * @throws {Problem} if the browser cannot decode it
 */
export async function* strips(blob) {
  const bitmap = await decode(blob);
  const { width, height } = bitmap;
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP / width)));
  const context = new OffscreenCanvas(width, rows).getContext("2d", {
    alpha: false,
    willReadFrequently: true,
  });
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    yield { width, height, data: context.getImageData(0, 0, width, count).data };
  }
  bitmap.close();
}

/**
 * The model's input of a photo, made strip by strip: a whole one may exceed the memory.
 * @param {Blob} blob
 * @param {import("lesionlite-web").Contract} contract
 * @returns {Promise<Uint8Array>} RGB [S, S, 3]
 * @throws {Problem} if the browser cannot decode it
 */
export async function toInput(blob, contract) {
  let preprocessor;
  for await (const strip of strips(blob)) {
    preprocessor ??= new Preprocessor(strip.width, strip.height, contract);
    preprocessor.add(strip.data, 4);
  }
  return preprocessor.finish();
}

async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Problem("undecodable");
  }
}
