// The worker's side: answers messages with a model in one runtime. `client.js` is the page's side.
import { checkContract } from "./contract.js";
import { checkGolden, judge } from "./golden.js";
import { toInput } from "./photo.js";
import { Problem } from "./problem.js";
import { rank } from "./ranking.js";

const MODEL = new URL("model/", self.location);
const THREADS = 4; // more threads do not make such a small network faster

/**
 * Answer the page's messages `{id, ask, ...}` with `{id, answer}` or `{id, problem}`.
 * @param {{suffix: string, open: Function}} runtime a module like runtime-onnx.js
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
    if (error instanceof Problem) return self.postMessage({ id, problem: error.message });
    console.error(error);
    self.postMessage({ id, problem: `An unexpected error occurred (${firstLine(error)}).` });
  }
}

class Engine {
  constructor(runtime) {
    this.runtime = runtime;
  }

  /** Fetch and open the model; the other methods need it. */
  async load() {
    this.contract = checkContract(await fetchJson("contract.json"));
    this.golden = await fetchJson("golden/golden.json");
    checkGolden(this.golden, this.contract);
    const found = Object.keys(this.golden.artifacts).find((n) => n.endsWith(this.runtime.suffix));
    if (!found) throw new Problem(`This app holds no ${this.runtime.suffix} model; embed one.`);
    this.entry = this.golden.artifacts[found];
    const model = new Uint8Array(await (await fetchOk(found)).arrayBuffer());
    await refuseChanged(found, model, this.entry.sha256);
    const most = self.crossOriginIsolated ? Math.min(THREADS, navigator.hardwareConcurrency) : 1;
    try {
      this.opened = await this.runtime.open(model, this.contract, most);
    } catch (error) {
      throw new Problem(`This browser cannot run ${found} (${firstLine(error)}).`);
    }
    const { note, disclaimer } = this.contract;
    return { name: found, sha256: this.entry.sha256, threads: this.opened.threads, note, disclaimer };
  }

  /** Classify a photo, and measure the time in milliseconds: in total, and of the model alone. */
  async classify({ blob }) {
    const started = performance.now();
    const input = await toInput(blob, this.contract);
    const between = performance.now();
    const probabilities = await this.opened.run(input);
    const ended = performance.now();
    return {
      ...rank(probabilities, this.contract, input),
      probabilities,
      milliseconds: ended - started,
      modelMilliseconds: ended - between,
    };
  }

  /** Classify the golden images, and compare the answers with the expected ones. */
  async selfTest() {
    const asItIs = { ...this.contract, resize: "squash" }; // golden images have the input's size
    const found = [];
    for (const name of this.golden.images) {
      const blob = await (await fetchOk(`golden/${name}`)).blob();
      found.push(await this.opened.run(await toInput(blob, asItIs)));
    }
    return { ...judge(this.entry, found), tolerance: this.entry.tolerance };
  }
}

async function fetchOk(name) {
  const response = await fetch(new URL(name, MODEL)).catch(() => null);
  if (!response?.ok)
    throw new Problem(`model/${name} cannot be fetched; connect once, or embed the model again.`);
  return response;
}

async function fetchJson(name) {
  try {
    return await (await fetchOk(name)).json();
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem(`model/${name} is no JSON; embed the model again.`);
  }
}

/** Refuse a changed model, because its answers might be wrong without any error. */
async function refuseChanged(name, model, sha256) {
  if (!crypto.subtle)
    throw new Problem("The model cannot be checked on a page without https; open the page by https.");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", model));
  const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hex !== sha256)
    throw new Problem(
      `The model ${name} is damaged: its SHA-256 is not the one in golden.json; embed it again.`,
    );
}

function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 200);
}
