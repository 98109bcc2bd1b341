import { basename, dirname } from 'node:path';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { copyTree, startUnpacking } from '../host/layers.ts';
import type { Maps } from '../plan/plan.ts';
import { asOverlay } from './fuse-marks.ts';
import { type LayerRecord, RecordStream } from './records.ts';
import { type TreeEntry, TreeReader } from './tree-reader.ts';
import { isOpaque, placeOf } from './union.ts';
import { keptAttributes } from './xattrs.ts';

export interface WholeCopy {
  /** Directories relative to that of all data; the second is there, and empty. */
  readonly from: string;
  readonly to: string;
  /** Of the user namespace whose ids own what is there; undefined where they are the host's. */
  readonly maps: Maps | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What was copied. */
export interface Copied {
  /** Bytes in its files. */
  readonly size: number;
  /** Directories that hide what lower layers have in them. */
  readonly opaque: ReadonlySet<string>;
}

/** Copies all of a container's tree as it is on disk, the directory itself and files with several names too. */
export async function copyWhole(host: Host, { from, to, maps, signal }: WholeCopy): Promise<Copied> {
  const data = host.environment.dataDirectory;
  await copyTree(host, { from: `${data}/${from}`, to: `${data}/${to}`, maps, cancel: signal });
  const reader = await TreeReader.open(host, { directory: data, maps, signal });
  try {
    const top = (await reader.list(dirname(from))).find(({ name }) => name === basename(from));
    const survey = await look(reader, from);
    const records = [...(await links(reader, survey, to)), ...(top === undefined ? [] : [settled('', top)])];
    await write(host, `${data}/${to}`, maps, records);
    return survey;
  } finally {
    await reader.close();
  }
}

interface Survey extends Copied {
  readonly directories: ReadonlyMap<string, TreeEntry>;
  /** Files with several names, by what the file system calls them. */
  readonly several: ReadonlyMap<bigint, readonly string[]>;
}

async function look(plain: TreeReader, tree: string): Promise<Survey> {
  // Where nothing serves files, there are none of these marks.
  const reader = asOverlay(plain, [tree]);
  const directories = new Map<string, TreeEntry>();
  const several = new Map<bigint, string[]>();
  const opaque = new Set<string>();
  let size = 0;
  const pending = [''];
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    for (const entry of await reader.list(placeOf({ path: tree }, at))) {
      const path = at === '' ? entry.name : `${at}/${entry.name}`;
      if (entry.type === 'directory') {
        directories.set(path, entry);
        if (isOpaque(entry)) opaque.add(path);
        pending.push(path);
        continue;
      }
      const names = several.get(entry.inode) ?? [];
      if (entry.type === 'file' && names.length === 0) size += entry.size;
      if (entry.links > 1 && entry.type !== 'character') several.set(entry.inode, [...names, path]);
    }
  }
  return { size, opaque, directories, several };
}

const above = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf('/')));

/** What makes the copies of one file one file again, and gives the directories that they are in their times back. */
async function links(reader: TreeReader, { several, directories }: Survey, to: string) {
  const records: (readonly [kind: 'link' | 'settle', record: LayerRecord])[] = [];
  const touched = new Set<string>();
  const copied = new Map<string, ReadonlySet<string>>();
  // Of a container that goes on meanwhile, something may have come or gone since.
  const isThere = async (path: string): Promise<boolean> => {
    const directory = above(path);
    const known = copied.get(directory) ?? new Set((await reader.list(placeOf({ path: to }, directory))).map(nameOf));
    copied.set(directory, known);
    return known.has(path.slice(directory.length).replace(/^\//, ''));
  };
  for (const all of several.values()) {
    const names: string[] = [];
    for (const path of all) if (await isThere(path)) names.push(path);
    const [target, ...others] = names;
    if (target === undefined) continue;
    for (const name of others) {
      records.push(['link', { name, target }]);
      touched.add(above(name));
    }
  }
  for (const path of touched) {
    const entry = directories.get(path);
    if (entry !== undefined) records.push(settled(path, entry));
  }
  return records;
}

const nameOf = ({ name }: TreeEntry): string => name;

function settled(name: string, entry: TreeEntry): readonly ['settle', LayerRecord] {
  const { mode, uid, gid, mtime, nanoseconds } = entry;
  return ['settle', { name, mode, uid, gid, mtime, nanoseconds, xattrs: keptAttributes(entry.xattrs) }];
}

async function write(
  host: Host,
  directory: string,
  maps: Maps | undefined,
  records: Awaited<ReturnType<typeof links>>,
): Promise<void> {
  const unpacking = await startUnpacking(host, { directory, maps });
  const out = new RecordStream(unpacking.records);
  try {
    for (const [kind, record] of records) {
      out.record(kind, record);
      if (out.full) await out.drained();
    }
    await out.end();
    await unpacking.done;
  } catch (error) {
    out.close();
    const theirs: unknown = await unpacking.done.catch((cause: unknown) => cause);
    // For what we did wrong it only saw the end.
    throw RuntsError.is(theirs) && theirs.failure?.errno !== 'ENODATA' ? theirs : error;
  }
}
