// Selects what to show of an answer.
import { isRejected } from "./rejection.js";

const SHOWN = 3;

/**
 * The most probable classes (ties in the order of the labels), whether the first is unsure, and
 * whether the image is of another kind than the network has learned.
 * @param {ArrayLike<number>} probabilities in the order of the labels
 * @param {import("./contract.js").Contract} contract
 * @param {Uint8Array} pixels the model's input
 * @returns {{top: {label: string, probability: number}[], unsure: boolean, rejected: boolean}}
 */
export function rank(probabilities, contract, pixels) {
  const classes = contract.labels.map((label, i) => ({ label, probability: probabilities[i] }));
  classes.sort((a, b) => b.probability - a.probability); // stable
  return {
    top: classes.slice(0, SHOWN),
    unsure: classes[0].probability < contract.unsure_below,
    rejected: isRejected(pixels, probabilities, contract),
  };
}
