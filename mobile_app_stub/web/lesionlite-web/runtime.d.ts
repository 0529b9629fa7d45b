import type { Contract, Opened } from "lesionlite-web";

export const suffix: string;
export function open(
  model: Uint8Array,
  contract: Contract,
  threads: number,
  folder?: string,
): Promise<Opened>;
