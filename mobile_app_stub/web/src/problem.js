/** What the user or the app's developer can mend: its message is one sentence, fit to be shown. */
export class Problem extends Error {}
