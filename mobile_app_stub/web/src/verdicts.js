// Stores the result of a passed self-test, as long as model, browser, threads and runtime stay.
import packages from "../package.json" with { type: "json" };

const key = (runtime) => `self-test of ${runtime}`;
const of = ({ sha256, threads }) => [
  ...[sha256, navigator.userAgent, threads],
  JSON.stringify(packages.dependencies),
];

/**
 * Store the result of a self-test, if it passed.
 * @param {string} runtime key in RUNTIMES
 * @param {{sha256: string, threads: number}} model what the engine loaded
 * @param {{passed: boolean, largest: number, tolerance: number}} verdict
 */
export function remember(runtime, model, verdict) {
  if (!verdict.passed) localStorage.removeItem(key(runtime)); // the next visit tests again
  else localStorage.setItem(key(runtime), JSON.stringify({ of: of(model), verdict }));
}

/** The stored result for this model in this browser; null if it has not passed. */
export function recall(runtime, model) {
  const kept = JSON.parse(localStorage.getItem(key(runtime)));
  return JSON.stringify(kept?.of) === JSON.stringify(of(model)) ? kept.verdict : null;
}
