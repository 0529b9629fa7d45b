// The page: reacts to the user and shows results.
import { takePhoto } from "./camera.js";
import { Client, RUNTIMES } from "./client.js";
import { keepOffline } from "./offline.js";
import { Problem } from "./problem.js";
import { recall, remember, store } from "./verdicts.js";

const MEGAPIXELS = 100; // at 4 bytes per pixel, more exceeds the memory that phones give a page
const SLOW = 12; // megapixels; for more, the page says why it takes a moment
const percent = new Intl.NumberFormat(undefined, {
  style: "percent",
  minimumFractionDigits: 1,
  maximumFractionDigits: 1,
});
const part = (id) => document.getElementById(id);
let client; // of the chosen runtime
let chosen; // the key of the runtime in RUNTIMES
let model; // what the worker loaded: name, sha256, threads, note

async function start() {
  listen();
  await keepOffline((renew) => {
    part("update").hidden = false;
    part("renew").onclick = renew;
  });
  const last = localStorage.getItem("runtime");
  await choose(last in RUNTIMES ? last : "litert");
}

function listen() {
  addEventListener("unhandledrejection", ({ reason }) => {
    part("problem").textContent = `An unexpected error occurred (${reason}); reload the page.`;
  });
  part("choose").onclick = () => part("file").click();
  part("file").onchange = ({ target }) => {
    if (target.files.length) attempt(() => classify(target.files[0]));
    target.value = ""; // so that the same photo can be chosen again
  };
  part("take").onclick = () => attempt(classifyTaken);
  part("again").onclick = () => attempt(selfTest);
  for (const [key, { name }] of Object.entries(RUNTIMES)) {
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "runtime" });
    input.value = key;
    input.onchange = () => choose(key);
    const label = document.createElement("label");
    label.append(input, ` ${name}`);
    part("runtimes").append(label);
  }
}

/** Do what the user asked for; show the message of a Problem. */
async function attempt(act) {
  const asked = client;
  part("problem").textContent = "";
  allow(false);
  try {
    await act();
  } catch (error) {
    if (asked !== client) return; // another runtime was chosen meanwhile
    if (!(error instanceof Problem)) throw error;
    say("");
    part("problem").textContent = error.message;
  } finally {
    if (asked === client) allow(true);
  }
}

function allow(on) {
  const trusted = model && recall(chosen, model); // no photos on a device that failed the test
  part("choose").disabled = part("take").disabled = !(on && trusted);
  part("again").disabled = !(on && model);
}

function say(sentence) {
  part("status").textContent = sentence;
}

async function choose(key) {
  client?.close();
  [client, chosen, model] = [new Client(key), key, undefined];
  store("runtime", key);
  part("runtimes").querySelector(`[value=${key}]`).checked = true;
  clear();
  say("Loading the model …");
  await attempt(async () => {
    const loaded = await client.ask("load");
    part("warning").textContent = loaded.disclaimer;
    part("note").textContent = loaded.note && `Trained on ${loaded.note}.`;
    model = loaded;
    const verdict = recall(key, model);
    if (verdict) show(verdict);
    else await selfTest();
    say("Choose or take a photo.");
  });
}

async function selfTest() {
  say("Testing this device with known images …");
  const verdict = await client.ask("selfTest");
  remember(chosen, model, verdict);
  show(verdict);
  say("");
}

function show({ passed, largest, tolerance }) {
  const found = Number.isFinite(largest) ? largest.toPrecision(2) : "not a number";
  const difference = `largest difference ${found}, tolerated ${tolerance}`;
  part("verdict").textContent = `${passed ? "passed" : "failed"}, ${difference}`;
  const threads = model.threads > 1 ? `${model.threads} threads` : "1 thread";
  part("details").textContent = `${model.name}, ${RUNTIMES[chosen].name}, ${threads}.`;
  if (!passed)
    throw new Problem(
      `The self-test failed (${difference}), so answers here would be wrong; ` +
        "choose the other runtime, or another browser.",
    );
}

async function classifyTaken() {
  const parts = { dialog: part("camera"), view: part("view") };
  const photo = await takePhoto({ ...parts, shoot: part("shoot"), cancel: part("cancel") });
  if (photo) await classify(photo);
}

async function classify(photo) {
  clear();
  const megapixels = await preview(photo);
  if (megapixels > MEGAPIXELS)
    throw new Problem(
      `This photo has ${Math.round(megapixels)} megapixels; choose one of at most ${MEGAPIXELS}.`,
    );
  say(megapixels > SLOW ? `Reading ${Math.round(megapixels)} megapixels …` : "Looking …");
  const answer = await client.ask("classify", { blob: photo });
  const [whole, inModel] = [answer.milliseconds, answer.modelMilliseconds].map(Math.round);
  const took = `${whole} ms, ${inModel} of them in the model`;
  say(`${headline(answer)} (${took}).`);
  part("result").classList.toggle("unsure", answer.unsure || answer.rejected);
  part("classes").replaceChildren(...answer.top.map(row));
}

function headline({ rejected, unsure }) {
  if (rejected) return "This does not look like the images that the network has learned";
  return unsure ? "Not sure: no class is likely enough" : "Likeliest first";
}

function clear() {
  part("classes").replaceChildren();
  part("result").classList.remove("unsure");
}

/** Show the photo; return its size in megapixels, which is known before it is decoded. */
async function preview(photo) {
  const image = part("photo");
  URL.revokeObjectURL(image.src);
  image.hidden = true;
  image.src = URL.createObjectURL(photo);
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () =>
      reject(new Problem("This file is no image that the browser can show; choose a photo."));
  });
  image.alt = "The photo";
  image.hidden = false;
  return (image.naturalWidth * image.naturalHeight) / 1e6;
}

function row({ label, probability }) {
  const item = document.createElement("li");
  const [name, value] = [document.createElement("span"), document.createElement("span")];
  [name.textContent, value.textContent] = [label, percent.format(probability)];
  const bar = Object.assign(document.createElement("meter"), { value: probability });
  bar.setAttribute("aria-hidden", "true"); // screen readers read the number
  item.append(name, value, bar);
  return item;
}

start();
