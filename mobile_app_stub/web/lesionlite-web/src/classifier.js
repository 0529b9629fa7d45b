// A model with its contract and its golden vectors, in one runtime. It needs no browser: the app
// reads files, decodes images, and chooses the runtime.
import { checkContract } from "./contract.js";
import { checkGolden, judge } from "./golden.js";
import { Preprocessor } from "./preprocess.js";
import { firstLine, Problem } from "./problem.js";
import { rank } from "./ranking.js";

export class Classifier {
  /**
   * Check the files and open the model. index.d.ts describes the parts.
   * @throws {Problem} if a file does not fit the others, or the runtime refuses the model
   */
  static async open({ contract, golden, read, runtime, threads = 1, sha256 = webSha256 }) {
    checkContract(contract);
    checkGolden(golden, contract);
    const name = Object.keys(golden.artifacts ?? {}).find((file) => file.endsWith(runtime.suffix));
    if (!name) throw new Problem("noModel", { suffix: runtime.suffix });
    const entry = golden.artifacts[name];
    const model = await read(name);
    // A changed model might answer wrongly without any error.
    if ((await sha256(model)) !== entry.sha256) throw new Problem("damaged", { name });
    const made = new Classifier();
    Object.assign(made, { contract, golden, entry, name });
    try {
      made.opened = await runtime.open(model, contract, threads);
    } catch (error) {
      throw new Problem("runtime", { name, reason: firstLine(error) });
    }
    return made;
  }

  /** The threads that really run. */
  get threads() {
    return this.opened.threads;
  }

  /** The model's input: RGB [S, S, 3], made from an image of any size. */
  input({ width, height, data }) {
    const channels = data.length / (width * height);
    if (channels !== 3 && channels !== 4)
      throw new Problem("pixels", { width, height, found: data.length });
    const preprocessor = new Preprocessor(width, height, this.contract);
    preprocessor.add(data, channels);
    return preprocessor.finish();
  }

  /** The answer to an input: what `rank` gives, and all probabilities. */
  async answer(input) {
    const probabilities = await this.opened.run(input);
    return { ...rank(probabilities, this.contract, input), probabilities };
  }

  /** The answer to an image of any size. */
  classify(image) {
    return this.answer(this.input(image));
  }

  /**
   * Answer the golden images, and compare with the expected answers.
   * @param {(name: string, contract: object) => Promise<Uint8Array>} decode gives the input that a
   *   golden image is, by the name of its file; by the contract it keeps its size
   */
  async selfTest(decode) {
    const asItIs = { ...this.contract, resize: "squash", resize_side: this.contract.side };
    const found = [];
    for (const name of this.golden.images)
      found.push(await this.opened.run(await decode(name, asItIs)));
    return { ...judge(this.entry, found), tolerance: this.entry.tolerance };
  }
}

/** By the browser, which does that on secure pages only. */
async function webSha256(content) {
  if (!globalThis.crypto?.subtle) throw new Problem("insecure");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", content));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
