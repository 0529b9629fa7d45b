// Converts a photo's file to the model's input. It runs in a worker, so the page stays responsive.
import { Preprocessor } from "./preprocess.js";
import { Problem } from "./problem.js";

const STRIP = 1 << 20; // pixels to copy at once, because phones limit the size of a canvas

/**
 * Decode a photo, rotate it by its EXIF orientation, and resize it as the contract says.
 * @param {Blob} blob
 * @param {import("./contract.js").Contract} contract
 * @returns {Promise<Uint8Array>} RGB [S, S, 3]
 * @throws {Problem} if the browser cannot decode it
 */
export async function toInput(blob, contract) {
  const bitmap = await decode(blob);
  const { width, height } = bitmap;
  const preprocessor = new Preprocessor(width, height, contract);
  const rows = Math.min(height, Math.max(1, Math.floor(STRIP / width)));
  const context = new OffscreenCanvas(width, rows).getContext("2d", {
    alpha: false,
    willReadFrequently: true,
  });
  for (let top = 0; top < height; top += rows) {
    const count = Math.min(rows, height - top);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    preprocessor.add(context.getImageData(0, 0, width, count).data, 4);
  }
  bitmap.close();
  return preprocessor.finish();
}

async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    throw new Problem(
      "This file cannot be decoded as an image, or is too large for this device's memory; " +
        "choose a JPEG, PNG or WebP photo.",
    );
  }
}
