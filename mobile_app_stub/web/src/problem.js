/** An error that the user or the app's developer can fix. Its message is a sentence to show. */
export class Problem extends Error {}
