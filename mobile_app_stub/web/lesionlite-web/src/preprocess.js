// Resizes an image of any size to the model's input, bit for bit as in training.
//
// Training used Pillow, and each browser's canvas resizes in another way. So this is Pillow's
// algorithm for 8-bit images: a horizontal and a vertical pass with fixed-point weights, each
// rounded to 8 bits.

const BITS = 22; // fractional bits of a weight; Pillow's 32 - 8 - 2
const HALF = 1 << (BITS - 1);

const FILTERS = {
  area: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: bicubic },
};

function bicubic(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/**
 * The size to resize the image to, and the corner of the square to crop from that.
 * @param {number} width of the upright image in pixels
 * @param {number} height
 * @param {import("./contract.js").Contract} contract
 * @returns {{width: number, height: number, left: number, top: number}}
 */
export function geometry(width, height, contract) {
  const { side, resize, resize_side } = contract;
  if (resize === "squash") return { width: side, height: side, left: 0, top: 0 };
  const scale = resize_side / Math.min(width, height);
  const [w, h] = [width, height].map((x) => Math.max(resize_side, roundHalfEven(x * scale)));
  return { width: w, height: h, left: (w - side) >> 1, top: (h - side) >> 1 };
}

function roundHalfEven(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 ? below + 1 : below;
}

/**
 * Makes the model's input from rows of pixels, so that a large photo need not be in memory.
 *
 * Call `add` with all rows, from the top, and then `finish`.
 */
export class Preprocessor {
  /**
   * @param {number} width of the upright image in pixels
   * @param {number} height
   * @param {import("./contract.js").Contract} contract
   */
  constructor(width, height, contract) {
    this.contract = contract;
    const to = geometry(width, height, contract);
    const side = contract.side;
    this.columns = taps(width, to.width, contract.interpolation, to.left, side);
    this.rows = taps(height, to.height, contract.interpolation, to.top, side);
    this.width = width;
    this.narrow = new Uint8Array(height * side * 3); // all rows, resized to the width of the input
    this.filled = 0;
  }

  /**
   * Resize some rows horizontally.
   * @param {Uint8Array|Uint8ClampedArray} pixels rows of the image
   * @param {number} channels 3 (RGB) or 4 (RGBA; alpha is dropped)
   */
  add(pixels, channels) {
    const count = pixels.length / (this.width * channels);
    const side = this.contract.side;
    for (let row = 0; row < count; row++, this.filled++) {
      const from = row * this.width * channels;
      const to = this.filled * side * 3;
      pass(pixels, from, channels, this.columns, this.narrow, to, 3);
    }
  }

  /**
   * Resize vertically.
   * @returns {Uint8Array} RGB [S, S, 3]
   */
  finish() {
    const side = this.contract.side;
    const out = new Uint8Array(side * side * 3);
    for (let x = 0; x < side; x++) pass(this.narrow, x * 3, side * 3, this.rows, out, x * 3, side * 3);
    return out;
  }
}

/** Resample a row or column of three channels; the steps are the distances between its pixels. */
function pass(source, from, step, taps, target, to, targetStep) {
  for (let i = 0; i < taps.length; i++, to += targetStep) {
    const { first, weights } = taps[i];
    for (let channel = 0; channel < 3; channel++) {
      let sum = HALF;
      let at = from + first * step + channel;
      for (let k = 0; k < weights.length; k++, at += step) sum += source[at] * weights[k];
      // Not >>, because with a bicubic filter the sum may exceed 32 bits.
      target[to + channel] = Math.min(255, Math.max(0, Math.floor(sum / (1 << BITS))));
    }
  }
}

/** For `count` pixels from `begin` on along an axis: the first source pixel, and the weights. */
function taps(from, to, interpolation, begin, count) {
  const places = Array.from({ length: count }, (_, i) => begin + i);
  const scale = from / to;
  const whole = [1 << BITS];
  if (from === to) return places.map((first) => ({ first, weights: whole }));
  if (interpolation === "nearest")
    return steps(scale, begin + count).slice(begin).map((x) => ({ first: x, weights: whole }));
  return places.map((x) => tap(x, from, scale, FILTERS[interpolation]));
}

/** As Pillow, add the scale repeatedly; multiplying would sometimes round to another pixel. */
function steps(scale, count) {
  const found = [];
  for (let at = scale * 0.5; found.length < count; at += scale) found.push(Math.floor(at));
  return found;
}

function tap(x, size, scale, filter) {
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const center = (x + 0.5) * scale;
  const first = Math.max(0, Math.trunc(center - support + 0.5));
  const end = Math.min(size, Math.trunc(center + support + 0.5));
  const weights = [];
  for (let i = first; i < end; i++) weights.push(filter.weight((i - center + 0.5) / stretch));
  const sum = weights.reduce((a, b) => a + b, 0);
  return { first, weights: weights.map((w) => fixed(w / sum)) };
}

function fixed(weight) {
  return Math.trunc(weight * (1 << BITS) + (weight < 0 ? -0.5 : 0.5));
}
