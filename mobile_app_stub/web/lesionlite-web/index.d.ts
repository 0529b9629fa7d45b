/** How to prepare the model's input, and what its answers mean: contract.json. */
export interface Contract {
  version: number;
  labels: string[];
  side: number;
  resize: "squash" | "shortest";
  resize_side: number;
  interpolation: "nearest" | "bilinear" | "bicubic" | "area";
  antialias: boolean;
  prior?: number[];
  logit_adjustment?: number[];
  unsure_below: number;
  rejection?: Rejection | null;
  note: string;
  disclaimer: string;
}

export interface Rejection {
  least_probability: number;
  whitening: number[][];
  centres: number[][];
  reject_above: number;
}

/** Known images and the answers to them: golden/golden.json. */
export interface Golden {
  labels: string[];
  /** File names. */
  images: string[];
  /** By the file name of the model. */
  artifacts: Record<string, GoldenAnswers>;
}

export interface GoldenAnswers {
  sha256: string;
  tolerance: number;
  probabilities: number[][];
}

/** What runs a model: the modules `lesionlite-web/litert`, `/onnx`, those two with `-webgpu`,
 * or one of yours. */
export interface Runtime {
  /** Of the model's file: ".tflite", ".onnx". */
  suffix: string;
  open(model: Uint8Array, contract: Contract, threads: number): Promise<Opened>;
}

export interface Opened {
  /** RGB [S, S, 3] to probabilities, in the order of the labels. */
  run(input: Uint8Array): Promise<ArrayLike<number>>;
  /** The threads that really run. */
  threads: number;
}

/** An upright image: its rows from the top, RGB or RGBA. A canvas's ImageData is one. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8Array | Uint8ClampedArray;
}

export interface Ranking {
  /** The three likeliest classes. */
  top: { label: string; probability: number }[];
  /** Whether the first is less likely than the contract's threshold. */
  unsure: boolean;
  /** Whether the image is of another kind than the network has learned. */
  rejected: boolean;
}

export interface Answer extends Ranking {
  probabilities: ArrayLike<number>;
}

export interface Verdict {
  passed: boolean;
  /** Largest difference of a probability; NaN if any is not finite. */
  largest: number;
}

export interface Parts {
  contract: Contract;
  golden: Golden;
  /** Gives the model's file, by the name that golden.json has for it. */
  read(name: string): Promise<Uint8Array>;
  runtime: Runtime;
  /** Wanted threads; 1 unless you say otherwise. */
  threads?: number;
  /** SHA-256 in hexadecimal digits; needed where there is no `crypto.subtle`. */
  sha256?(content: Uint8Array): string | Promise<string>;
}

export class Classifier {
  static open(parts: Parts): Promise<Classifier>;
  readonly contract: Contract;
  readonly golden: Golden;
  readonly entry: GoldenAnswers;
  readonly name: string;
  readonly threads: number;
  input(image: Pixels): Uint8Array;
  answer(input: Uint8Array): Promise<Answer>;
  classify(image: Pixels): Promise<Answer>;
  /** `decode` gives a golden image's pixels, RGB [S, S, 3], by the name of its file. */
  selfTest(
    decode: (name: string, contract: Contract) => Promise<Uint8Array>,
  ): Promise<Verdict & { tolerance: number }>;
}

/** Makes the model's input from rows of pixels, as training did, to the byte. */
export class Preprocessor {
  constructor(width: number, height: number, contract: Contract);
  add(pixels: Uint8Array | Uint8ClampedArray, channels: 3 | 4): void;
  finish(): Uint8Array;
}

/** An error that the user or the developer can fix. Its message is a sentence to show. */
export class Problem extends Error {
  constructor(
    code: string,
    values?: Record<string, string | number>,
    messages?: Record<string, string>,
  );
  code: string;
  values: Record<string, string | number>;
}

export const MESSAGES: Record<string, string>;
export function fill(sentence: string, values: Record<string, string | number>): string;
export function checkContract(contract: unknown): Contract;
export function checkGolden(golden: unknown, contract: Contract): void;
export function judge(entry: GoldenAnswers, found: ArrayLike<number>[]): Verdict;
export function geometry(
  width: number,
  height: number,
  contract: Contract,
): { width: number; height: number; left: number; top: number };
export function rank(
  probabilities: ArrayLike<number>,
  contract: Contract,
  pixels: Uint8Array,
): Ranking;
export function isRejected(
  pixels: Uint8Array,
  probabilities: ArrayLike<number>,
  contract: Contract,
): boolean;
/** Share of each class in training, and the one that the answers count on; empty if not known. */
export function shares(contract: Contract): { label: string; trained: number; expected: number }[];
