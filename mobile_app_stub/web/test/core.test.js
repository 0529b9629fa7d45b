// Compares the core with cases that the Python reference made (cases.json).
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { checkContract } from "../lesionlite-web/src/contract.js";
import { checkGolden, judge } from "../lesionlite-web/src/golden.js";
import { geometry, Preprocessor } from "../lesionlite-web/src/preprocess.js";
import { Problem } from "../lesionlite-web/src/problem.js";
import { rank } from "../lesionlite-web/src/ranking.js";
import { squaredDistance } from "../lesionlite-web/src/rejection.js";

// `lesionlite embed` copies cases.json into the app; here it is beside the templates.
const places = ["../cases.json", "../../cases.json"].map((path) => new URL(path, import.meta.url));
const cases = JSON.parse(readFileSync(places.find(existsSync), "utf8"));
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

test("contracts are accepted, or refused by a sentence that names the field", () => {
  for (const { contract, problem } of cases.contracts) {
    if (problem === null) assert.equal(checkContract(contract), contract);
    else
      assert.throws(
        () => checkContract(contract),
        (error) => error instanceof Problem && error.message.includes(problem),
      );
  }
  assert.throws(() => checkContract(null), Problem);
});

test("geometry", () => {
  for (const { width, height, contract, scaled, crop } of cases.geometry) {
    const found = geometry(width, height, contract);
    assert.deepEqual([found.width, found.height, found.left, found.top], [...scaled, ...crop]);
  }
});

test("inputs are equal to the byte", () => {
  for (const { width, height, pixels, contract, expected } of cases.inputs) {
    const preprocessor = new Preprocessor(width, height, contract);
    preprocessor.add(bytes(pixels), 3);
    assert.deepEqual(preprocessor.finish(), bytes(expected));
  }
});

test("strips of RGBA give what the whole image of RGB gives", () => {
  const { width, height, pixels, contract, expected } = cases.inputs[4];
  const rgb = bytes(pixels);
  const rgba = new Uint8ClampedArray(width * height * 4).map((_, i) =>
    i % 4 === 3 ? 255 : rgb[(i >> 2) * 3 + (i % 4)],
  );
  const preprocessor = new Preprocessor(width, height, contract);
  for (let top = 0; top < height; top += 7)
    preprocessor.add(rgba.subarray(top * width * 4, (top + 7) * width * 4), 4);
  assert.deepEqual(preprocessor.finish(), bytes(expected));
});

test("ranking", () => {
  for (const { probabilities, contract, top, unsure } of cases.ranking) {
    const found = rank(probabilities, contract, new Uint8Array());
    assert.deepEqual(found.top.map(({ label, probability }) => [label, probability]), top);
    assert.equal(found.unsure, unsure);
    assert.equal(found.rejected, false); // these contracts do not tell
  }
});

test("images of another kind", () => {
  for (const { pixels, probabilities, contract, distance, rejected } of cases.rejection) {
    const { side, rejection } = checkContract(contract);
    const found = squaredDistance(bytes(pixels), probabilities, side, rejection);
    assert.ok(Math.abs(found - distance) <= 1e-5 * distance, `${found}, not ${distance}`);
    assert.equal(rank(probabilities, contract, bytes(pixels)).rejected, rejected);
  }
});

test("golden answers pass within the tolerance and fail beyond", () => {
  for (const { golden, artifact, found, passed, largest } of cases.golden) {
    const answers = found.map((row) => row.map((value) => value ?? NaN));
    const verdict = judge(golden.artifacts[artifact], answers);
    assert.equal(verdict.passed, passed);
    assert.ok(Object.is(verdict.largest, largest ?? NaN));
  }
});

test("golden vectors of another contract are refused", () => {
  const { golden } = cases.golden[0];
  checkGolden(golden, { labels: golden.labels });
  assert.throws(() => checkGolden(golden, { labels: [...golden.labels].reverse() }), Problem);
  assert.throws(() => checkGolden(null, { labels: golden.labels }), Problem);
});
