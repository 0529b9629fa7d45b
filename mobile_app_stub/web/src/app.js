// The page: reacts to the user and shows results.
import { Problem } from "lesionlite-web";

import { takePhoto } from "./camera.js";
import { forgetChoice, offerRuntimes, recallChoice, rememberChoice } from "./choice.js";
import { Client, RUNTIMES } from "./client.js";
import { inform, number, percent } from "./information.js";
import { problem, sentence, text, translatePage } from "./language.js";
import { keepOffline } from "./offline.js";
import { recall, remember } from "./verdicts.js";

const MEGAPIXELS = 100; // at 4 bytes per pixel, more exceeds the memory that phones give a page
const SLOW = 12; // megapixels; for more, the page says why it takes a moment
const GPU_FAULTS = ["gpu", "runtime", "notStarted", "testFailed"]; // of Problems that another runtime may not have
const part = (id) => document.getElementById(id);
let client; // of the chosen runtime
let chosen; // the key of the runtime in RUNTIMES
let model; // what the worker loaded: name, sha256, threads, contract
let offered; // the keys of the runtimes that may run here
const refused = {}; // why a runtime on WebGPU is not used during this visit, by its key

async function start() {
  translatePage(document.documentElement);
  listen();
  const cached = keepOffline((renew) => {
    part("update").hidden = false;
    part("renew").onclick = renew;
  });
  [offered] = await Promise.all([offerRuntimes(), cached]);
  part("runtimes").append(...offered.map(button));
  const last = recallChoice();
  if (last) await choose(last.runtime);
  else await compare();
}

function listen() {
  addEventListener("unhandledrejection", ({ reason }) => {
    part("problem").textContent = text("unexpected", { reason });
  });
  part("choose").onclick = () => part("file").click();
  part("file").onchange = ({ target }) => {
    const [photo] = target.files;
    if (photo) attempt(() => classify(photo));
    target.value = ""; // so that the same photo can be chosen again
  };
  part("take").onclick = async () => {
    const photo = await attempt(take);
    if (photo) attempt(() => classify(photo));
  };
  part("again").onclick = () => attempt(selfTest);
}

/** What the user chooses a runtime with. */
function button(key) {
  const input = Object.assign(document.createElement("input"), { type: "radio", name: "runtime" });
  input.value = key;
  input.onchange = () => {
    rememberChoice(key);
    choose(key);
  };
  const label = document.createElement("label");
  label.append(input, ` ${RUNTIMES[key].name}`);
  return label;
}

/**
 * Do what the user asked for; show the message of a Problem. Where WebGPU fails, another runtime
 * takes over, and does `anew`.
 */
async function attempt(act, anew = act) {
  const asked = client;
  part("problem").textContent = "";
  allow(false);
  try {
    return await act();
  } catch (error) {
    if (asked !== client) return; // another runtime was chosen meanwhile
    if (!(error instanceof Problem)) throw error;
    say("");
    if (!RUNTIMES[chosen].gpu || !GPU_FAULTS.includes(error.code))
      part("problem").textContent = sentence(error);
    else {
      refused[chosen] = sentence(error);
      await compare();
      if (isTrusted()) await attempt(anew);
    }
  } finally {
    if (asked === client) allow(true);
  }
}

/** No photos on a device that failed the self-test. */
const isTrusted = () => Boolean(model && recall(chosen, model));

function allow(on) {
  part("choose").disabled = part("take").disabled = !(on && isTrusted());
  part("again").disabled = !(on && model);
  part("result").setAttribute("aria-busy", !on); // screen readers wait for the whole answer
}

function say(words) {
  part("status").textContent = words;
}

/** Start the worker of a runtime, in place of the last one. */
function use(key) {
  client?.close();
  [client, chosen, model] = [new Client(key), key, undefined];
  part("runtimes").querySelector(`[value=${key}]`).checked = true;
  clear();
}

async function choose(key) {
  use(key);
  say(text("loading"));
  const open = async () => {
    await load();
    const verdict = recall(key, model);
    if (!verdict && recallChoice()?.times) return compare(); // they are another model's
    // The GPU's driver may change while the browser does not.
    if (verdict && !RUNTIMES[key].gpu) show(verdict);
    else await selfTest();
    say(text("ready"));
  };
  await attempt(open, () => {});
}

async function load() {
  const loaded = await client.ask("load");
  const { disclaimer, note } = loaded.contract;
  part("warning").textContent = disclaimer;
  part("note").textContent = note && text("note", { note });
  inform(loaded.contract, {
    threshold: part("threshold"),
    shares: part("shares"),
    none: part("no-shares"),
  });
  model = loaded;
}

/** Use the fastest one of the runtimes that pass the self-test in this browser. */
async function compare() {
  forgetChoice();
  part("comparison").textContent = "";
  const measured = await measure(offered.filter((key) => !(key in refused)));
  if (!measured) return;
  const { times, reasons } = measured;
  const [fastest, ...slower] = Object.keys(times).sort((a, b) => times[a] - times[b]);
  // A GPU that failed once may be right at the next visit, which measures again.
  if (fastest && !Object.keys(refused).length) rememberChoice(fastest, times);
  await choose(fastest ?? offered[0]); // which says what is wrong with it
  if (chosen !== fastest) return;
  const timed = (key) => `${RUNTIMES[key].name} (${number(times[key])} ms)`;
  const compared = text("fastest", { first: timed(fastest), others: slower.map(timed).join(", ") });
  const unused = Object.entries({ ...refused, ...reasons }).map(([key, reason]) =>
    text("without", { runtime: RUNTIMES[key].name, reason }),
  );
  part("comparison").textContent = [...(slower.length ? [compared] : []), ...unused].join(" ");
}

/** Test and time runtimes: milliseconds, or why it is not used, by key; null if the user chose one. */
async function measure(keys) {
  const [times, reasons] = [{}, {}];
  for (const key of keys) {
    use(key);
    const tried = client;
    say(text("comparing", { name: RUNTIMES[key].name }));
    try {
      await load();
      const verdict = await client.ask("selfTest");
      remember(key, model, verdict);
      if (verdict.passed) times[key] = verdict.milliseconds;
      else reasons[key] = text("failed", numbers(verdict));
    } catch (error) {
      if (tried !== client) return null;
      if (!(error instanceof Problem)) throw error;
      reasons[key] = sentence(error);
    }
  }
  return { times, reasons };
}

async function selfTest() {
  say(text("testing"));
  const verdict = await client.ask("selfTest");
  remember(chosen, model, verdict);
  show(verdict);
  say("");
}

function numbers({ largest, tolerance }) {
  const found = Number.isFinite(largest) ? largest.toPrecision(2) : text("notANumber");
  return { found, tolerance };
}

function show(verdict) {
  part("verdict").textContent = text(verdict.passed ? "passed" : "failed", numbers(verdict));
  const threads =
    model.threads > 1 ? text("manyThreads", { threads: model.threads }) : text("oneThread");
  part("details").textContent = text("details", {
    ...{ model: model.name, runtime: RUNTIMES[chosen].name, threads },
  });
  if (!verdict.passed) throw problem("testFailed", numbers(verdict));
}

function take() {
  const parts = { dialog: part("camera"), view: part("view") };
  return takePhoto({ ...parts, shoot: part("shoot"), cancel: part("cancel") });
}

async function classify(photo) {
  clear();
  const megapixels = await preview(photo);
  if (megapixels > MEGAPIXELS)
    throw problem("tooLarge", { megapixels: Math.round(megapixels), most: MEGAPIXELS });
  say(
    megapixels > SLOW ? text("reading", { megapixels: Math.round(megapixels) }) : text("looking"),
  );
  const answer = await client.ask("classify", { blob: photo });
  const [whole, inModel] = [answer.milliseconds, answer.modelMilliseconds].map(Math.round);
  const kind = answer.rejected ? "rejected" : answer.unsure ? "unsure" : "likeliest";
  say(text("answered", { headline: text(kind), whole, inModel }));
  part("result").classList.toggle("unsure", answer.unsure || answer.rejected);
  part("classes").replaceChildren(...answer.top.map(row));
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
    image.onerror = () => reject(problem("noImage"));
  });
  image.alt = text("thePhoto");
  image.hidden = false;
  return (image.naturalWidth * image.naturalHeight) / 1e6;
}

function row({ label, probability }) {
  const item = document.createElement("li");
  const [name, value] = [document.createElement("span"), document.createElement("span")];
  [name.textContent, value.textContent] = [label, percent(probability)];
  const bar = Object.assign(document.createElement("meter"), { value: probability });
  bar.setAttribute("aria-hidden", "true"); // screen readers read the number
  item.append(name, value, bar);
  return item;
}

start();
