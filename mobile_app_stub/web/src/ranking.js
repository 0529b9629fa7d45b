// Selects what to show of an answer.

const SHOWN = 3;

/**
 * The most probable classes (ties in the order of the labels), and whether the first is unsure.
 * @param {ArrayLike<number>} probabilities in the order of the labels
 * @param {import("./contract.js").Contract} contract
 * @returns {{top: {label: string, probability: number}[], unsure: boolean}}
 */
export function rank(probabilities, contract) {
  const classes = contract.labels.map((label, i) => ({ label, probability: probabilities[i] }));
  classes.sort((a, b) => b.probability - a.probability); // stable
  return {
    top: classes.slice(0, SHOWN),
    unsure: classes[0].probability < contract.unsure_below,
  };
}
