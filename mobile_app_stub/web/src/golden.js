// Does this device feed and run the model as the machine that made it did?
import { Problem } from "./problem.js";

/**
 * Refuse golden vectors that are not of this contract.
 * @param {any} golden parsed golden.json
 * @param {import("./contract.js").Contract} contract
 * @throws {Problem}
 */
export function checkGolden(golden, contract) {
  if (JSON.stringify(golden?.labels) !== JSON.stringify(contract.labels))
    throw new Problem("golden.json has other labels than contract.json; embed the model again.");
}

/**
 * Hold answers against the ones that the artifact should give.
 * @param {{tolerance: number, probabilities: number[][]}} entry of golden.json, for one artifact
 * @param {ArrayLike<number>[]} found probabilities for each golden image
 * @returns {{passed: boolean, largest: number}} the largest difference; NaN where one is not finite
 */
export function judge(entry, found) {
  const differences = entry.probabilities.flatMap((expected, image) =>
    expected.map((p, label) => Math.abs(found[image][label] - p)),
  );
  const largest = differences.every(Number.isFinite) ? Math.max(...differences) : NaN;
  return { passed: largest <= entry.tolerance, largest };
}
