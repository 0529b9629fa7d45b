// The contract: how to prepare the model's input and what its answers mean. Nothing else here knows
// the model.
import { Problem } from "./problem.js";
import { STATISTICS } from "./rejection.js";

const VERSION = 1;
const RESIZE_RULES = ["squash", "shortest"];
const INTERPOLATIONS = ["nearest", "bilinear", "bicubic", "area"];

/**
 * @typedef {object} Contract
 * @property {string[]} labels class names, in the order of the probabilities
 * @property {number} side S: the model takes S x S pixels
 * @property {"squash"|"shortest"} resize "squash" resizes the whole image to S x S; "shortest"
 *   resizes its shorter side to `resize_side`, and crops the S x S centre
 * @property {number} resize_side pixels
 * @property {"nearest"|"bilinear"|"bicubic"|"area"} interpolation
 * @property {boolean} antialias whether the filter widens when the image shrinks
 * @property {number[]} [logit_adjustment] what the model adds to its logits; empty for zeros
 * @property {number[]} [prior] share of each class in what training saw; empty if not known
 * @property {number} unsure_below if the largest probability is below it, an app says "not sure"
 * @property {Rejection|null} [rejection] tells images of another kind
 * @property {string} note a sentence to show with every result; may be empty
 * @property {string} disclaimer a sentence that an app always shows; may be empty
 */

/**
 * A Gaussian around each class. An image has D numbers: the logarithms of its probabilities, then
 * the statistics of its pixels.
 * @typedef {object} Rejection
 * @property {number} least_probability what smaller probabilities count as
 * @property {number[][]} whitening D x D
 * @property {number[][]} centres of the classes, whitened
 * @property {number} reject_above if the squared distance to the nearest centre is larger, an app
 *   says that the image is of another kind
 */

/**
 * Refuse a contract that this library cannot fulfil.
 * @param {any} contract parsed contract.json
 * @returns {Contract}
 * @throws {Problem} naming the field
 */
export function checkContract(contract) {
  const problem = contract && typeof contract === "object" ? findProblem(contract) : "is no object";
  if (problem) throw new Problem("contract", { reason: problem });
  return contract;
}

function findProblem(c) {
  if (c.version !== VERSION) return `has version ${c.version}, this app reads version ${VERSION}`;
  const named = (label) => typeof label === "string" && label !== "";
  if (!Array.isArray(c.labels) || c.labels.length < 2 || !c.labels.every(named))
    return "needs at least two labels, none of them empty";
  if (new Set(c.labels).size !== c.labels.length) return "has labels that are not unique";
  if (!Number.isInteger(c.side) || c.side < 32)
    return `has side ${c.side}, which must be a whole number from 32`;
  if (!RESIZE_RULES.includes(c.resize))
    return `has resize ${c.resize}, which must be one of ${RESIZE_RULES.join(", ")}`;
  if (!Number.isInteger(c.resize_side) || c.resize_side < c.side)
    return `has resize_side ${c.resize_side}, which must not be less than side`;
  if (!INTERPOLATIONS.includes(c.interpolation))
    return `has interpolation ${c.interpolation}, which must be one of ${INTERPOLATIONS.join(", ")}`;
  if (c.antialias !== true && ["bilinear", "bicubic"].includes(c.interpolation))
    return "resizes without antialias, which this app does not do";
  if (!(c.unsure_below >= 0 && c.unsure_below < 1))
    return `has unsure_below ${c.unsure_below}, which must be from 0 up to, not including, 1`;
  for (const name of ["prior", "logit_adjustment"])
    if (c[name] && !isRow(c[name], c.labels.length))
      return `has a ${name} that is not one number for each label`;
  if (c.rejection && !isUsable(c.rejection, c.labels.length + STATISTICS))
    return "has a rejection that this app cannot compute";
  return null;
}

/**
 * The share of each class in what training saw, and the shares that the answers count on.
 * @param {Contract} contract
 * @returns {{label: string, trained: number, expected: number}[]} empty if they are not known
 */
export function shares({ labels, prior = [], logit_adjustment = [] }) {
  if (prior.length !== labels.length) return [];
  const weights = prior.map((share, i) => share * Math.exp(logit_adjustment[i] ?? 0));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return labels.map((label, i) => ({ label, trained: prior[i], expected: weights[i] / sum }));
}

const isRow = (row, length) =>
  Array.isArray(row) && [0, length].includes(row.length) && row.every(Number.isFinite);

function isUsable({ least_probability, whitening, centres, reject_above }, size) {
  const fits = (row) => Array.isArray(row) && row.length === size && row.every(Number.isFinite);
  const rows = (matrix) => Array.isArray(matrix) && matrix.length > 0 && matrix.every(fits);
  const inside = least_probability > 0 && least_probability < 1 && reject_above > 0;
  return inside && rows(whitening) && whitening.length === size && rows(centres);
}
