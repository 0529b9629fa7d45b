// The worker's side: answers messages with a model in one runtime. `client.js` is the page's side.
import { Classifier, Problem } from "lesionlite-web";
import { toInput } from "lesionlite-web/photo";

import { problem } from "./language.js";

const MODEL = new URL("model/", self.location);
const THREADS = 4; // more threads do not make such a small network faster

/**
 * Answer the page's messages `{id, ask, ...}` with `{id, answer}`, or with a Problem's
 * `{id, code, values}`.
 * @param {{suffix: string, open: Function}} runtime a module like lesionlite-web/onnx
 */
export function serve(runtime) {
  const engine = new Engine(runtime);
  let last = Promise.resolve(); // a runtime can run only one query at a time
  self.onmessage = ({ data: { id, ask, ...settings } }) => {
    last = last.then(() => reply(id, () => engine[ask](settings)));
  };
}

async function reply(id, act) {
  try {
    self.postMessage({ id, answer: await act() });
  } catch (error) {
    if (error instanceof Problem)
      return self.postMessage({ id, code: error.code, values: error.values });
    console.error(error);
    self.postMessage({ id, code: "unexpected", values: { reason: String(error).slice(0, 200) } });
  }
}

class Engine {
  constructor(runtime) {
    this.runtime = timed(runtime, (milliseconds) => this.times.push(milliseconds));
    this.times = []; // of the model's runs, in milliseconds
  }

  /** Fetch and open the model; the other methods need it. */
  async load() {
    const contract = await fetchJson("contract.json");
    this.classifier = await Classifier.open({
      contract,
      golden: await fetchJson("golden/golden.json"),
      read: async (name) => new Uint8Array(await (await fetchOk(name)).arrayBuffer()),
      runtime: this.runtime,
      threads: isShared() ? Math.min(THREADS, navigator.hardwareConcurrency) : 1,
    });
    const { name, entry, threads } = this.classifier;
    return { name, sha256: entry.sha256, threads, contract };
  }

  /** Classify a photo, and measure the time in milliseconds: in total, and of the model alone. */
  async classify({ blob }) {
    const started = performance.now();
    const input = await toInput(blob, this.classifier.contract);
    const answer = await this.classifier.answer(input);
    return {
      ...answer,
      milliseconds: performance.now() - started,
      modelMilliseconds: this.times.at(-1),
    };
  }

  /** Classify the golden images, compare the answers with the expected ones, and time the model. */
  async selfTest() {
    this.times.length = 0;
    const verdict = await this.classifier.selfTest(async (name, contract) =>
      toInput(await (await fetchOk(`golden/${name}`)).blob(), contract),
    );
    return { ...verdict, milliseconds: median(this.times.slice(1)) }; // the first one warms up
  }
}

/** A runtime that tells how long each run took. */
function timed({ suffix, open }, tell) {
  const openTimed = async (...settings) => {
    const { run, threads } = await open(...settings);
    const runTimed = async (input) => {
      const started = performance.now();
      const probabilities = await run(input);
      tell(performance.now() - started);
      return probabilities;
    };
    return { run: runTimed, threads };
  };
  return { suffix, open: openTimed };
}

/** Whether threads can share memory. WebKitGTK isolates pages, but does not let them share. */
const isShared = () => self.crossOriginIsolated && "SharedArrayBuffer" in self;

const median = (times) => [...times].sort((a, b) => a - b)[times.length >> 1];

async function fetchOk(name) {
  const response = await fetch(new URL(name, MODEL)).catch(() => null);
  if (!response?.ok) throw problem("notFetched", { name });
  return response;
}

async function fetchJson(name) {
  const response = await fetchOk(name);
  try {
    return await response.json();
  } catch {
    throw problem("noJson", { name });
  }
}
