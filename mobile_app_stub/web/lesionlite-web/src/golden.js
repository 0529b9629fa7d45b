// The self-test: does this device give the answers of the machine that exported the model?
import { Problem } from "./problem.js";

/**
 * Refuse golden vectors of another contract.
 * @param {any} golden parsed golden.json
 * @param {import("./contract.js").Contract} contract
 * @throws {Problem}
 */
export function checkGolden(golden, contract) {
  if (JSON.stringify(golden?.labels) !== JSON.stringify(contract.labels))
    throw new Problem("golden");
}

/**
 * Compare answers with the expected ones.
 * @param {{tolerance: number, probabilities: number[][]}} entry the artifact's entry in golden.json
 * @param {ArrayLike<number>[]} found probabilities for each golden image
 * @returns {{passed: boolean, largest: number}} largest difference; NaN if any is not finite
 */
export function judge(entry, found) {
  const differences = entry.probabilities.flatMap((expected, image) =>
    expected.map((p, label) => Math.abs(found[image][label] - p)),
  );
  const largest = differences.every(Number.isFinite) ? Math.max(...differences) : NaN;
  return { passed: largest <= entry.tolerance, largest };
}
