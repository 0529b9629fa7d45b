// What needs no browser and no runtime. `lesionlite-web/photo`, `/litert` and `/onnx` hold the rest.
export { Classifier } from "./src/classifier.js";
export { checkContract, shares } from "./src/contract.js";
export { checkGolden, judge } from "./src/golden.js";
export { MESSAGES } from "./src/messages.js";
export { geometry, Preprocessor } from "./src/preprocess.js";
export { fill, Problem } from "./src/problem.js";
export { rank } from "./src/ranking.js";
export { isRejected } from "./src/rejection.js";
