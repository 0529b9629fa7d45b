import { MESSAGES } from "./messages.js";

/** An error that the user or the app's developer can fix. Its message is a sentence to show. */
export class Problem extends Error {
  /**
   * @param {string} code its key in `messages`
   * @param {Record<string, string|number>} values for the places in the sentence
   * @param {Record<string, string>} messages sentences by code
   */
  constructor(code, values = {}, messages = MESSAGES) {
    super(fill(messages[code], values));
    this.name = "Problem";
    this.code = code;
    this.values = values;
  }
}

/** An error of somebody else's, short enough for a sentence. */
export function firstLine(error) {
  return String(error?.message ?? error).split("\n")[0].slice(0, 200);
}

/** Put values into a sentence: {name} becomes the value of that name. */
export function fill(sentence, values) {
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
