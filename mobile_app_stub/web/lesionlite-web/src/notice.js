// The licences of what a built page holds, for `NOTICE.txt`. It runs in Node, in the page's build.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const HERE = new URL("..", import.meta.url);
// These packages come without the text of their licence.
const TEXTS = {
  "@litertjs/core": "licenses/litert.txt",
  "@litertjs/wasm-utils": "licenses/litert.txt",
  "onnxruntime-common": "licenses/onnxruntime.txt",
  "onnxruntime-web": "licenses/onnxruntime.txt",
};
const INSIDE = { "onnxruntime-web": ["onnxruntime-common"] }; // bundled in the package's own files

/**
 * The npm packages that files belong to, and those that they contain.
 * @param {string[]} inputs paths, as esbuild's metafile has them
 * @returns {string[]}
 */
export function packagesOf(inputs) {
  const found = inputs
    .map((path) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1])
    .filter(Boolean);
  return [...new Set(found.flatMap((name) => [name, ...(INSIDE[name] ?? [])]))].sort();
}

/**
 * Lesionlite's licence, and name, version and licence of each package, as one text.
 * @param {string[]} packages
 * @param {string} modules the folder node_modules
 * @returns {string}
 * @throws {Error} a sentence that names a package without the text of its licence
 */
export function notice(packages, modules) {
  const ours = JSON.parse(readFileSync(new URL("package.json", HERE), "utf8"));
  const parts = [[`${ours.name} ${ours.version}`, ours.license, ownText("LICENSE")]];
  for (const name of packages) {
    const { version, license } = JSON.parse(readFileSync(join(modules, name, "package.json")));
    parts.push([`${name} ${version}`, license, licenceOf(name, join(modules, name))]);
  }
  const line = "=".repeat(80);
  return parts.map(([name, kind, text]) => `${line}\n${name} (${kind})\n${line}\n\n${text}`).join("\n");
}

function licenceOf(name, folder) {
  const file = readdirSync(folder).find((one) => /^(licen[cs]e|copying)(\.\w+)?$/i.test(one));
  if (file) return readFileSync(join(folder, file), "utf8");
  if (name in TEXTS && existsSync(new URL(TEXTS[name], HERE))) return ownText(TEXTS[name]);
  throw new Error(
    `The npm package ${name} has no licence text, and the page would hold it: put the text into ` +
      "lesionlite-web/licenses/, and its name into lesionlite-web/src/notice.js.",
  );
}

const ownText = (file) => readFileSync(new URL(file, HERE), "utf8");
