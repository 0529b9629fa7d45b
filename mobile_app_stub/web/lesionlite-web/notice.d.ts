/** The licences of npm packages as one text. Throws a sentence if one has no text. */
export function notice(packages: string[], modules: string): string;
/** The npm packages that esbuild put into its outputs, and those that they contain. */
export function packagesOf(inputs: string[]): string[];
