// Bundle the page into site/, which any static web server can serve: `npm run build`.
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";

import { build } from "esbuild";
import { notice, packagesOf } from "lesionlite-web/notice";

const OUT = "site";
const RUNTIMES = {
  litert: ["@litertjs/core/wasm", /litert_wasm_(|compat_|threaded_)internal\./],
  onnx: ["onnxruntime-web/dist", /^ort-wasm-simd-threaded(\.asyncify)?\.(mjs|wasm)$/],
};

rmSync(OUT, { recursive: true, force: true });
cpSync("static", OUT, { recursive: true });
cpSync("model", join(OUT, "model"), { recursive: true });
for (const [name, [folder, pattern]] of Object.entries(RUNTIMES)) {
  const from = join("node_modules", folder);
  mkdirSync(join(OUT, name));
  for (const file of readdirSync(from).filter((f) => pattern.test(f)))
    cpSync(join(from, file), join(OUT, name, file));
}
const inputs = [
  ...Object.values(RUNTIMES).map(([folder]) => `node_modules/${folder}/`),
  // client.js also by itself, for `python -m lesionlite.benchmark.elsewhere.browser`.
  ...(await bundle(["src/app.js", "src/client.js", ...workers("onnx")], "esm")),
  ...(await bundle(workers("litert"), "iife")), // see src/client.js
];
writeFileSync(join(OUT, "NOTICE.txt"), notice(packagesOf(inputs), "node_modules"));
const later = new RegExp(`^(${Object.keys(RUNTIMES).join("|")})/|-webgpu\\.js$`);
const shell = files(OUT).filter((file) => !later.test(file)); // see src/service-worker.js
await bundle(["src/service-worker.js"], "iife", {
  SHELL: JSON.stringify(["./", ...shell]),
  VERSION: JSON.stringify(digest(files(OUT))),
});

/** The workers of a runtime, on the CPU and on WebGPU. */
function workers(runtime) {
  return [`src/worker-${runtime}.js`, `src/worker-${runtime}-webgpu.js`];
}

/** Write the bundles; the paths of all files in them. */
async function bundle(entryPoints, format, define = {}) {
  const { metafile } = await build({
    entryPoints,
    format,
    define,
    outdir: OUT,
    bundle: true,
    metafile: true,
    target: "es2022",
    charset: "utf8",
    // ONNX Runtime starts its threads from its own file; if bundled, it would start our worker.
    conditions: ["onnxruntime-web-use-extern-wasm"],
    logLevel: "warning",
  });
  return Object.keys(metafile.inputs);
}

/** Files below a folder, as the browser names them, in order. */
function files(folder) {
  return readdirSync(folder, { recursive: true })
    .filter((file) => statSync(join(folder, file)).isFile())
    .map((file) => file.replaceAll("\\", "/"))
    .sort();
}

function digest(names) {
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(readFileSync(join(OUT, name)));
  return hash.digest("hex").slice(0, 16);
}
