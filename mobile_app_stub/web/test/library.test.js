// The library as an app uses it, with a runtime that is none, and the licences of a page.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { Classifier, MESSAGES, Problem, rank, shares } from "../lesionlite-web/index.js";
import { notice, packagesOf } from "../lesionlite-web/src/notice.js";
import { guarded } from "../lesionlite-web/src/webgpu.js";

const SIDE = 32;
const contract = {
  ...{ version: 1, labels: ["dark", "bright"], side: SIDE, resize: "squash", resize_side: SIDE },
  ...{ interpolation: "bilinear", antialias: true, unsure_below: 0.6, note: "", disclaimer: "" },
};
const model = new TextEncoder().encode("a model");
const golden = {
  labels: contract.labels,
  images: ["0.png", "1.png"],
  artifacts: {
    "small.toy": {
      sha256: createHash("sha256").update(model).digest("hex"),
      tolerance: 0.02,
      probabilities: [[1, 0], [0, 1]],
    },
  },
};
const brightness = (input) => input.reduce((sum, value) => sum + value, 0) / input.length / 255;
const runtime = {
  suffix: ".toy",
  open: async (bytes, { side }, threads) => {
    assert.deepEqual([bytes, side, threads], [model, SIDE, 1]);
    return { threads, run: async (input) => [1 - brightness(input), brightness(input)] };
  },
};
const parts = { contract, golden, runtime, read: async () => model };
const filled = (value, channels = 3, width = SIDE, height = SIDE) => ({
  ...{ width, height, data: new Uint8Array(width * height * channels).fill(value) },
});
const decode = async (name) => filled(name === "0.png" ? 0 : 255).data;

test("an array is classified, of any size, with or without alpha", async () => {
  const classifier = await Classifier.open(parts);
  assert.equal(classifier.threads, 1);
  const bright = await classifier.classify(filled(255, 3, 70, 41));
  assert.deepEqual(bright.top[0], { label: "bright", probability: 1 });
  assert.deepEqual([bright.unsure, bright.rejected], [false, false]);
  const middling = await classifier.classify(filled(128, 4));
  assert.equal(middling.unsure, true);
  assert.equal(middling.probabilities.length, 2);
  assert.throws(() => classifier.input({ ...filled(1), height: 40 }), refused("pixels"));
});

test("the self-test passes, and fails for another answer", async () => {
  const classifier = await Classifier.open(parts);
  assert.deepEqual(await classifier.selfTest(decode), { passed: true, largest: 0, tolerance: 0.02 });
  const wrong = await classifier.selfTest(async (name) => filled(name === "0.png" ? 50 : 255).data);
  assert.equal(wrong.passed, false);
});

test("what does not fit is refused by a sentence", async () => {
  const other = { ...golden, artifacts: {} };
  for (const [code, change] of [
    ["contract", { contract: { ...contract, side: 3 } }],
    ["contract", { contract: { ...contract, prior: [1] } }],
    ["golden", { golden: { ...golden, labels: ["a", "b"] } }],
    ["noModel", { golden: other }],
    ["noModel", { golden: { labels: golden.labels } }],
    ["damaged", { read: async () => new Uint8Array(9) }],
    ["runtime", { runtime: { ...runtime, open: () => Promise.reject(new Error("no memory")) } }],
  ])
    await assert.rejects(Classifier.open({ ...parts, ...change }), refused(code), code);
});

function refused(code) {
  return (error) => {
    assert.ok(error instanceof Problem && error.code === code, String(error));
    assert.ok(MESSAGES[code] && error.message.length > 20 && !/[{}]|undefined/.test(error.message));
    return true;
  };
}

test("a GPU that has failed gives no answer, whatever the runtime does", async () => {
  const device = Object.assign(new EventTarget(), { lost: new Promise(() => {}) });
  const answer = guarded(async () => [1], device);
  assert.deepEqual(await answer(), [1]);
  const event = Object.assign(new Event("uncapturederror"), { error: new Error("no memory") });
  device.dispatchEvent(event);
  await assert.rejects(answer(), refused("gpu"));
  const lost = Promise.resolve({ reason: "unknown", message: "" });
  const waiting = () => new Promise(() => {});
  const never = guarded(waiting, Object.assign(new EventTarget(), { lost }));
  await assert.rejects(never(), refused("gpu"));
});

test("an app brings its own digest where there is no crypto.subtle", async () => {
  const sha256 = () => golden.artifacts["small.toy"].sha256;
  await Classifier.open({ ...parts, sha256 });
  await assert.rejects(Classifier.open({ ...parts, sha256: () => "0" }), refused("damaged"));
});

test("shares of the classes, in training and expected", () => {
  assert.deepEqual(shares(contract), []);
  const prior = [0.5, 0.5];
  const adjusted = shares({ ...contract, prior, logit_adjustment: [Math.log(3), 0] });
  assert.deepEqual(adjusted.map(({ trained }) => trained), prior);
  const expected = adjusted.map(({ expected }) => expected.toFixed(6));
  assert.deepEqual(expected, ["0.750000", "0.250000"]);
  assert.equal(shares({ ...contract, prior, logit_adjustment: [] })[0].expected, 0.5);
  assert.equal(rank([0.5, 0.5], contract, new Uint8Array()).unsure, true);
});

test("NOTICE.txt has the licence of each package, or the build fails with a sentence", () => {
  const inputs = [
    "src/app.js",
    "lesionlite-web/index.js",
    "node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
    "../elsewhere/node_modules/@litertjs/core/dist/index.js",
    "node_modules/outer/node_modules/inner/index.js",
  ];
  const inside = ["@litertjs/core", "inner", "onnxruntime-common", "onnxruntime-web"];
  assert.deepEqual(packagesOf(inputs), inside);
  const modules = mkdtempSync(join(tmpdir(), "modules-"));
  const made = (name, files) => {
    mkdirSync(join(modules, name), { recursive: true });
    for (const [file, text] of Object.entries(files)) writeFileSync(join(modules, name, file), text);
  };
  made("onnxruntime-web", { "package.json": '{"version": "1.2.3", "license": "MIT"}' });
  made("inner", { "package.json": '{"version": "4.5.6", "license": "ISC"}', "LICENSE.md": "Take it." });
  const text = notice(["inner", "onnxruntime-web"], modules);
  for (const part of ["Apache License", "inner 4.5.6 (ISC)", "Take it.", "onnxruntime-web 1.2.3"])
    assert.ok(text.includes(part), part);
  assert.ok(text.includes("Microsoft Corporation"));
  made("bare", { "package.json": '{"version": "1.0.0", "license": "MIT"}' });
  assert.throws(() => notice(["bare"], modules), /npm package bare has no licence text/);
});
