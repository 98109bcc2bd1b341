import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { RuntsError } from '../errors.ts';
import type { Base, Before } from './differences.ts';
import type { TreeEntry, TreeReader } from './tree-reader.ts';
import { type Owner, placeOf } from './union.ts';
import { keptAttributes } from './xattrs.ts';

/** An entry as it was when the container was made: name, what it is, its times where it is a directory, and its owner. */
type Row = readonly [name: string, is: string, times: string | null, owner: Owner | null];
type Line = readonly [directory: string, rows: readonly Row[]];

/**
 * Writes down what a tree has, a line for each directory, in the order in which it is walked through later: a copy has nothing
 * below it to be compared with.
 */
export async function writeCopyBase(
  reader: TreeReader,
  place: string,
  file: string,
  owners: ReadonlyMap<string, Owner>,
): Promise<void> {
  const out = await open(file, 'wx', 0o600);
  try {
    const pending = [''];
    let text = '';
    for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
      const at = directory;
      const entries = await reader.list(placeOf({ path: place }, at));
      const pathOf = ({ name }: TreeEntry) => (at === '' ? name : `${at}/${name}`);
      const rows = entries.map((each): Row => {
        const isDirectory = each.type === 'directory';
        return [each.name, whatOf(each), isDirectory ? timesOf(each) : null, owners.get(pathOf(each)) ?? null];
      });
      text += `${JSON.stringify([directory, rows] satisfies Line)}\n`;
      pending.push(
        ...entries
          .filter(({ type }) => type === 'directory')
          .map(pathOf)
          .reverse(),
      );
      if (text.length > flushChars || pending.length === 0) {
        await out.writeFile(text);
        text = '';
      }
    }
  } finally {
    await out.close();
  }
}

const flushChars = 64 * 1024;

/** An image that was unpacked for one container, as it was written down then. */
export function copyBase(file: string): Base & { close(): void } {
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  const iterator = lines[Symbol.asyncIterator]();
  let line: Line | undefined;
  const next = async (): Promise<void> => {
    const { value, done } = await iterator.next();
    line = done ? undefined : parse(value as string, file);
  };
  return {
    marks: undefined,
    close: () => lines.close(),
    async list(path) {
      if (line === undefined) await next();
      // Those of directories that are gone.
      while (line !== undefined && line[0] !== path && isBefore(line[0], path)) await next();
      return line?.[0] === path ? new Map(line[1].map((row) => [row[0], before(row)])) : new Map();
    },
  };
}

/** Owners that were recorded, and not given, by path. */
export async function copyBaseOwners(file: string): Promise<ReadonlyMap<string, Owner>> {
  const owners = new Map<string, Owner>();
  for await (const text of createInterface({ input: createReadStream(file) })) {
    const [directory, rows] = parse(text, file);
    for (const [name, , , owner] of rows) {
      if (owner !== null) owners.set(directory === '' ? name : `${directory}/${name}`, owner);
    }
  }
  return owners;
}

/** In the order in which a tree is walked through: a directory before what is in it, and siblings by name. */
function isBefore(a: string, b: string): boolean {
  const [mine, theirs] = [a.split('/'), b.split('/')];
  for (const [i, name] of mine.entries()) {
    const other = theirs[i];
    if (other === undefined) return false;
    if (name !== other) return name < other;
  }
  return true;
}

function parse(text: string, file: string): Line {
  try {
    const line: unknown = JSON.parse(text);
    if (!isLine(line)) throw new TypeError('a line is none');
    return line;
  } catch (cause) {
    throw new RuntsError('ERR_SETUP', `cannot compare a container with its image: ${file} is damaged`, { cause });
  }
}

function isLine(line: unknown): line is Line {
  if (!Array.isArray(line) || typeof line[0] !== 'string' || !Array.isArray(line[1])) return false;
  const isText = (value: unknown) => typeof value === 'string';
  return line[1].every(
    (row) => Array.isArray(row) && isText(row[0]) && isText(row[1]) && (row[2] === null || isText(row[2])),
  );
}

function before([, is, times, owner]: Row): Before {
  return {
    isDirectory: times !== null,
    owner: owner ?? undefined,
    isSame: (entry) => whatOf(entry) === is,
    isUntouched: (entry) => timesOf(entry) === times,
    key: undefined,
  };
}

const timesOf = ({ mtime, nanoseconds }: TreeEntry): string => `${mtime}.${nanoseconds}`;

/** All that can be told of an entry without reading it; of a directory, not what changes with what is in it. */
function whatOf(entry: TreeEntry): string {
  const { type, mode, uid, gid, size, target, major, minor, inode, changed } = entry;
  const xattrs = [...keptAttributes(entry.xattrs)].sort();
  const digest = xattrs.length === 0 ? '' : createHash('sha256').update(JSON.stringify(xattrs)).digest('hex');
  const rest = type === 'directory' ? [] : [size, target, major, minor, timesOf(entry), inode, changed];
  return [type, mode, uid, gid, digest, ...rest].join(' ');
}
