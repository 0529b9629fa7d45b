// What the contract says about the answers: the threshold, and how frequent the classes are.
import { shares } from "lesionlite-web";

import { language, text } from "./language.js";

/** Milliseconds as the page shows them. */
export const number = (value) =>
  new Intl.NumberFormat(language, { maximumSignificantDigits: 2 }).format(value);

/** A probability as the page shows it. */
export const percent = (value) =>
  new Intl.NumberFormat(language, {
    style: "percent",
    minimumFractionDigits: 1,
    maximumFractionDigits: 1,
  }).format(value);

/**
 * Fill the section about the answers.
 * @param {import("lesionlite-web").Contract} contract
 * @param {{threshold: HTMLElement, shares: HTMLTableElement, none: HTMLElement}} parts
 */
export function inform(contract, parts) {
  const { unsure_below } = contract;
  parts.threshold.textContent =
    unsure_below > 0 ? text("threshold", { share: percent(unsure_below) }) : text("noThreshold");
  const rows = shares(contract);
  parts.shares.hidden = rows.length === 0;
  parts.none.hidden = rows.length > 0;
  parts.shares.tBodies[0].replaceChildren(...rows.map(row));
}

function row({ label, trained, expected }) {
  const line = document.createElement("tr");
  const name = Object.assign(document.createElement("th"), { scope: "row", textContent: label });
  const cells = [trained, expected].map((value) =>
    Object.assign(document.createElement("td"), { textContent: percent(value) }),
  );
  line.append(name, ...cells);
  return line;
}
