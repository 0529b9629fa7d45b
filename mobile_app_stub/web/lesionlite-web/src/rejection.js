// Tells images of another kind from those that the network has learned.

const NO_CONTRAST = 0.01; // added before a logarithm, so that plain images have one
const NO_DETAIL = 0.002;
const BLOCKS = [1, 2, 4, 8]; // pixels
export const STATISTICS = 15;

/**
 * Whether an image is of another kind. False if the contract does not tell.
 * @param {Uint8Array} pixels the model's input, S x S x 3
 * @param {ArrayLike<number>} probabilities in the order of the labels
 * @param {import("./contract.js").Contract} contract
 * @returns {boolean}
 */
export function isRejected(pixels, probabilities, { side, rejection }) {
  if (!rejection) return false;
  return squaredDistance(pixels, probabilities, side, rejection) > rejection.reject_above;
}

/** The squared Mahalanobis distance of an image to the nearest class. */
export function squaredDistance(pixels, probabilities, side, rejection) {
  const logs = Array.from(probabilities, (p) => Math.log(Math.max(p, rejection.least_probability)));
  const numbers = [...logs, ...imageStatistics(pixels, side)];
  const dot = (row) => row.reduce((sum, factor, i) => sum + factor * numbers[i], 0);
  const whitened = rejection.whitening.map(dot);
  const apart = (centre) => centre.reduce((sum, c, i) => sum + (whitened[i] - c) ** 2, 0);
  return Math.min(...rejection.centres.map(apart));
}

/** Colours and detail of an image; lesionlite's train/data/statistics.py describes each number. */
function imageStatistics(pixels, side) {
  const channels = [0, 1, 2].map((channel) =>
    Float64Array.from({ length: side * side }, (_, i) => pixels[3 * i + channel] / 255),
  );
  const [red, green, blue] = channels;
  const means = channels.map(mean);
  const spreads = [...channels, difference(red, green), difference(green, blue)].map(deviation);
  const grey = red.map((value, i) => (value + green[i] + blue[i]) / 3);
  return [
    ...means,
    ...spreads.map((spread) => Math.log(spread + NO_CONTRAST)),
    ...channels.map((channel, i) => mean(middle(channel, side)) - means[i]),
    ...BLOCKS.map((block) => Math.log(roughness(...shrink(grey, side, block)) + NO_DETAIL)),
  ];
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

const difference = (a, b) => a.map((value, i) => value - b[i]);

function deviation(values) {
  const average = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - average) ** 2)));
}

/** The pixels at most a quarter of the side away from the centre. */
function middle(channel, side) {
  const edge = Math.floor(side / 4);
  const inside = (i) => i >= edge && i < side - edge;
  return channel.filter((_, i) => inside(Math.floor(i / side)) && inside(i % side));
}

/** The means of whole blocks, and their number in a row. */
function shrink(grey, side, block) {
  const cells = Math.floor(side / block);
  const shrunk = new Float64Array(cells * cells);
  for (let y = 0; y < cells * block; y++)
    for (let x = 0; x < cells * block; x++)
      shrunk[Math.floor(y / block) * cells + Math.floor(x / block)] += grey[y * side + x];
  return [shrunk.map((sum) => sum / block ** 2), cells];
}

/** The mean difference between neighbours. */
function roughness(grey, side) {
  let [down, across] = [0, 0];
  for (let i = 0; i < side * side; i++) {
    if (i >= side) down += Math.abs(grey[i] - grey[i - side]);
    if (i % side) across += Math.abs(grey[i] - grey[i - 1]);
  }
  return (down + across) / (2 * side * (side - 1));
}
