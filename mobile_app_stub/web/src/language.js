// The page's language: the first of the browser's that the page has, else English.
import { fill, Problem } from "lesionlite-web";

import de from "./strings/de.js";
import en from "./strings/en.js";

const LANGUAGES = { en, de }; // for one that runs from right to left, `translatePage` sets `dir`

const wanted = (globalThis.navigator?.languages ?? []).map((tag) => tag.split("-")[0]);
export const language = wanted.find((tag) => tag in LANGUAGES) ?? "en";
const strings = LANGUAGES[language];

/** A sentence in the page's language. */
export const text = (key, values = {}) => fill(strings[key], values);

/** A Problem of the page; the library's have sentences of their own, see `sentence`. */
export const problem = (code, values) => new Problem(code, values, en);

/** What to show for a Problem. */
export const sentence = ({ code, values }) => text(code, values);

/** Put the language into the page's elements: data-text is a key for their text, data-label for
 * their label. */
export function translatePage(root) {
  root.lang = language;
  root.dir = ["ar", "fa", "he", "ur"].includes(language) ? "rtl" : "ltr";
  document.querySelector("meta[name=description]").content = text("description");
  for (const element of root.querySelectorAll("[data-text]"))
    element.textContent = text(element.dataset.text);
  for (const element of root.querySelectorAll("[data-label]"))
    element.setAttribute("aria-label", text(element.dataset.label));
}
