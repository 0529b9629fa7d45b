// Stores the result of a passed self-test, as long as model, browser, threads and runtime stay.
import packages from "../package.json" with { type: "json" };

const key = (runtime) => `self-test of ${runtime}`;
const of = ({ sha256, threads }) => [
  ...[sha256, navigator.userAgent, threads],
  JSON.stringify(packages.dependencies),
];

const ofThisVisit = new Map(); // for browsers that have no room to store it

/**
 * Store the result of a self-test, if it passed.
 * @param {string} runtime key in RUNTIMES
 * @param {{sha256: string, threads: number}} model what the engine loaded
 * @param {{passed: boolean, largest: number, tolerance: number}} verdict
 */
export function remember(runtime, model, verdict) {
  localStorage.removeItem(key(runtime)); // so that after a failure, the next visit tests again
  const text = verdict.passed ? JSON.stringify({ of: of(model), verdict }) : null;
  ofThisVisit.set(runtime, text);
  if (text) store(key(runtime), text);
}

/** Store a text for the next visit, if the browser has room for it. */
export function store(name, text) {
  try {
    localStorage.setItem(name, text);
  } catch {
    // The next visit asks or tests again.
  }
}

/** The stored result for this model in this browser; null if it has not passed. */
export function recall(runtime, model) {
  const kept = JSON.parse(ofThisVisit.get(runtime) ?? localStorage.getItem(key(runtime)));
  return JSON.stringify(kept?.of) === JSON.stringify(of(model)) ? kept.verdict : null;
}
