// The page's sentences and styles, as far as they can be checked without a browser.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { MESSAGES } from "../lesionlite-web/index.js";
import de from "../src/strings/de.js";

const here = (path) => new URL(`../${path}`, import.meta.url);
const read = (path) => readFileSync(here(path), "utf8");
// en.js takes the library's sentences by the package's name, which only an installed app knows.
const source = read("src/strings/en.js").replace('"lesionlite-web"', `"${here("lesionlite-web/index.js")}"`);
const { default: en } = await import(`data:text/javascript,${encodeURIComponent(source)}`);
const places = (sentence) => [...new Set(sentence.match(/\{\w+\}/g))].sort();

test("both languages have the same sentences, with the same places to fill in", () => {
  assert.deepEqual(Object.keys(de).sort(), Object.keys(en).sort());
  for (const key of Object.keys(en)) {
    assert.deepEqual(places(de[key]), places(en[key]), key);
    assert.ok(de[key].trim() && en[key].trim(), key);
  }
});

test("the sentences that are used are there, and no others", () => {
  const files = readdirSync(here("src")).filter((file) => file.endsWith(".js"));
  const code = files.map((file) => read(`src/${file}`)).join("\n");
  const html = read("static/index.html");
  const called = [...code.matchAll(/\b(?:text|problem|fail)\(\s*"(\w+)"/g)].map(([, key]) => key);
  const inPage = [...html.matchAll(/data-(?:text|label)="(\w+)"/g)].map(([, key]) => key);
  for (const key of [...called, ...inPage]) assert.ok(key in en, key);
  const used = (key) => new RegExp(`"${key}"`).test(code + html) || key in MESSAGES;
  assert.deepEqual(Object.keys(en).filter((key) => !used(key)), []);
});

test("index.html says in English what en.js says", () => {
  const html = read("static/index.html");
  const found = [...html.matchAll(/data-text="(\w+)"\s*>([^<]*)</g)];
  assert.ok(found.length > 15);
  for (const [, key, shown] of found) assert.equal(shown.trim(), en[key]);
  for (const [, shown, key] of html.matchAll(/aria-label="([^"]*)" data-label="(\w+)"/g))
    assert.equal(shown, en[key]);
});

test("styles run from right to left as well, and nothing moves", () => {
  const css = read("static/style.css").replace(/\/\*.*?\*\//gs, "");
  const physical = /(^|[\s;{-])(left|right|width|height|margin|padding)(-(left|right))?\s*:|text-align:\s*(left|right)/gm;
  const found = [...css.matchAll(physical)].map(([one]) => one.trim());
  assert.deepEqual(found.filter((one) => !/^(margin|padding):/.test(one)), []);
  for (const [, value] of css.matchAll(/(?:margin|padding):\s*([^;]*);/g))
    assert.ok(value.split(/\s+/).length < 4, value); // four values name left and right
  assert.doesNotMatch(css, /animation|transition|scroll-behavior/);
});
