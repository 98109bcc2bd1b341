import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the patches are, from the root of the project. */
export const mutantsDirectory = 'test/attacks/mutants';

/** A hole, as a patch, and the test that must see it. */
export interface Mutant {
  readonly name: string;
  readonly hole: string;
  /** Of `test/attacks/`, without its ending. */
  readonly file: string;
  /** A part of the test's name, or of the names of several of which one must fail. */
  readonly test: string;
  /** Who must run the test for it to see the hole. */
  readonly as: 'anybody' | 'root' | 'an ordinary user';
}

const row = /^\| `([a-z0-9-]+)` \| (.+?) \| `([a-z0-9-]+)`: (.+?) \| (anybody|root|an ordinary user) \|$/;

/** The rows of the table in the README of the patches. */
export function mutantsTable(root: string): Mutant[] {
  const lines = readFileSync(join(root, mutantsDirectory, 'README.md'), 'utf8').split('\n');
  return lines.flatMap((line) => {
    const [, name, hole, file, test, as] = row.exec(line) ?? [];
    if (name === undefined || hole === undefined || file === undefined || test === undefined) return [];
    return [{ name, hole, file, test, as: as as Mutant['as'] }];
  });
}

/** The names of the patches that there are. */
export const patches = (root: string): string[] =>
  readdirSync(join(root, mutantsDirectory))
    .filter((name) => name.endsWith('.patch'))
    .map((name) => name.slice(0, -'.patch'.length))
    .sort();
