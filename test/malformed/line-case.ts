import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Place } from './place.ts';

/** What the words of a case may speak of. */
export interface Scene {
  readonly place: Place;
  /** A container that runs. */
  readonly box: string;
  /** The id of one that is not there. */
  readonly id: string;
  /** Makes a file with this content, and names it. */
  readonly file: (content: string | Uint8Array) => string;
  readonly directory: () => string;
  /** All that was made so. */
  readonly made: readonly string[];
}

/** A command line that cannot be done. */
export interface LineCase {
  readonly name: string;
  readonly words: (scene: Scene) => readonly string[];
  /** What the one line about it has to contain. */
  readonly says: string;
  /** A NUL in a word can be handed over by a caller in this process only; open descriptors are those of a process. */
  readonly only?: 'here' | 'binary';
}

type Words = (scene: Scene) => readonly string[];

/** A case by its words. */
export const line = (name: string, says: string, words: Words): LineCase => ({ name, says, words });
/** A case for each value of a word. */
export const each = (
  values: readonly string[],
  name: string,
  says: string,
  words: (value: string) => Words,
): LineCase[] =>
  values.map((value) => ({
    ...line(`${name} ${shown(value)}`, says, words(value)),
    ...(value.includes('\0') && { only: 'here' as const }),
  }));
const shown = (value: string) => JSON.stringify(value.length > 30 ? `${value.slice(0, 30)}…` : value);

/** Makes files and directories below a place, one for each call. */
export function sceneOf(place: Place, box: string): Scene {
  const made: string[] = [];
  const next = (kind: string): string => {
    const path = join(place.path, `${kind}${made.length}`);
    made.push(path);
    return path;
  };
  return {
    place,
    box,
    made,
    get id() {
      return place.newId();
    },
    file(content) {
      const path = next('file');
      writeFileSync(path, content);
      return path;
    },
    directory() {
      const path = next('directory');
      mkdirSync(path);
      return path;
    },
  };
}
