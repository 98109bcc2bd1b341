import { stringifyJson } from '../../lib/spec/json.ts';
import type { Config } from './place.ts';

/** A whole config.json that is wrong in a way of its own. */
export interface DocumentCase {
  readonly name: string;
  readonly text: (good: Config) => string | Uint8Array;
  /** What the one line about it has to contain. */
  readonly says: string;
  /** Found out by the kernel, or by looking at the root file system: after the process is there. */
  readonly late?: true;
  /** No fault of a container that we stay with. */
  readonly detached?: true;
}

type Edit = (config: Config) => void;

/** A configuration that works, but for this edit. */
export const row = (name: string, says: string, edit: Edit): DocumentCase => ({
  name,
  says,
  text(good) {
    const config: Config = structuredClone(good);
    edit(config);
    return stringifyJson(config);
  },
});
/** The same for what is found out late. */
export const late = (name: string, says: string, edit: Edit): DocumentCase => ({
  ...row(name, says, edit),
  late: true,
});
/** A text made of that of a configuration that works. */
export const text = (name: string, says: string, make: (whole: string) => string | Uint8Array): DocumentCase => ({
  name,
  says,
  text: (good) => make(stringifyJson(good)),
});
