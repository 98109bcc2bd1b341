import { basename, dirname } from 'node:path';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import { startUnpacking } from '../host/layers.ts';
import type { Maps } from '../plan/plan.ts';
import { readContainerFile } from './container-file.ts';
import { openLayers } from './container-layer.ts';
import { symlinksMax } from './limits.ts';
import { type LayerRecord, RecordStream } from './records.ts';
import { givesOwners } from './translate.ts';
import { type TreeEntry, TreeReader } from './tree-reader.ts';
import { type LayerPlace, listUnion, type Owner, placeOf, type UnionEntry } from './union.ts';
import { keptAttributes } from './xattrs.ts';

export interface CopyRequest {
  /** The container whose root file system it is from. */
  readonly container: string;
  /** Absolute, in the container. */
  readonly path: string;
  /** A directory on the host, which gets what is there: entries, owners, modes, times. */
  readonly target: string;
  readonly maps: Maps | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Copies a directory of a container's root file system, before anything is mounted on it; nothing happens where it has none
 * of that name. Links of the image are followed inside it, one component after the other, and none while copying; what is
 * made is made by an init below the target, in the user namespace of its owners.
 */
export async function copyDirectory(host: Host, request: CopyRequest): Promise<boolean> {
  const data = host.environment.dataDirectory;
  const file = await readContainerFile(`${data}/containers/${request.container}`);
  if (file === undefined) return false;
  const reader = await TreeReader.open(host, { directory: data, maps: file.maps, signal: request.signal });
  try {
    const layers = await openLayers(data, request.container, file);
    const from = await findDirectory(reader, layers, request.path);
    if (from === undefined) return false;
    const unpacking = await startUnpacking(host, { directory: request.target, maps: request.maps });
    const records = new RecordStream(unpacking.records);
    try {
      await new Copy(reader, records, request.maps, request.signal).run(from);
      await records.end();
      await unpacking.done;
    } catch (error) {
      records.close();
      const theirs: unknown = await unpacking.done.catch((cause: unknown) => cause);
      // For what we did wrong it only saw the end.
      throw RuntsError.is(theirs) && theirs.failure?.errno !== 'ENODATA' ? theirs : error;
    }
    return true;
  } finally {
    await reader.close();
  }
}

/** Whether there is nothing in a directory of the host, which may be closed to us and open to its owner. */
export async function isEmptyDirectory(host: Host, path: string, maps: Maps | undefined): Promise<boolean> {
  const reader = await TreeReader.open(host, { directory: dirname(path), maps });
  try {
    return (await reader.list(Buffer.from(basename(path)).toString('latin1'))).length === 0;
  } finally {
    await reader.close();
  }
}

/** A directory as layers show it. */
interface Place {
  /** Where it is, without links. */
  readonly path: string;
  readonly layers: readonly LayerPlace[];
  readonly entry: TreeEntry;
}

/** What a path leads to, following links as chroot(2) would; undefined where that is no directory. */
async function findDirectory(
  reader: TreeReader,
  layers: readonly LayerPlace[],
  path: string,
): Promise<Place | undefined> {
  const pending = Buffer.from(path).toString('latin1').split('/').reverse();
  let way: Place[] = [];
  let hops = 0;
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (name === '' || name === '.') continue;
    if (name === '..') {
      way = way.slice(0, -1);
      continue;
    }
    const here = way.at(-1);
    const at = here?.path ?? '';
    const found = (await listUnion(reader, at, here?.layers ?? layers)).get(name);
    if (found === undefined) return undefined;
    const { entry } = found;
    if (entry.type === 'symlink') {
      if (++hops > symlinksMax) return undefined;
      if (entry.target.startsWith('/')) way = [];
      pending.push(...entry.target.split('/').reverse());
    } else if (entry.type === 'directory') way = [...way, { path: at === '' ? name : `${at}/${name}`, ...found }];
    else return undefined;
  }
  // The root itself has no use for a volume: nothing can be mounted there.
  return way.at(-1);
}

const nodeBits: Readonly<Record<string, number>> = { fifo: 0o010000, character: 0o020000, block: 0o060000 };

class Copy {
  readonly #reader: TreeReader;
  readonly #out: RecordStream;
  /** Owners are given where there are several. */
  readonly #owners: boolean;
  readonly #devices: boolean;
  readonly #signal: AbortSignal | undefined;
  /** The first name of a file that has several. */
  readonly #files = new Map<string, string>();

  constructor(reader: TreeReader, out: RecordStream, maps: Maps | undefined, signal: AbortSignal | undefined) {
    this.#reader = reader;
    this.#out = out;
    this.#owners = givesOwners(maps);
    this.#devices = maps === undefined;
    this.#signal = signal;
  }

  async run(from: Place): Promise<void> {
    const directories: LayerRecord[] = [];
    const pending: { readonly from: Place; readonly name: string }[] = [{ from, name: '' }];
    for (let here = pending.pop(); here !== undefined; here = pending.pop()) {
      if (this.#signal?.aborted) throw new RuntsError('ERR_CANCELED', 'canceled while filling a volume');
      const { path, layers, entry } = here.from;
      if (here.name !== '') this.#out.record('directory', { name: here.name });
      // In the end: what is put into a directory changes its time, and its mode may keep us out.
      directories.push({ name: here.name, ...this.#attributes(entry, layers[0]?.owners?.get(path)) });
      for (const [name, found] of await listUnion(this.#reader, path, layers)) {
        const inside = `${path}/${name}`;
        const as = here.name === '' ? name : `${here.name}/${name}`;
        if (found.entry.type === 'directory') pending.push({ from: { path: inside, ...found }, name: as });
        else await this.#copy(inside, as, found);
        if (this.#out.full) await this.#out.drained();
      }
    }
    for (const record of directories.reverse()) this.#out.record('settle', record);
  }

  async #copy(path: string, name: string, { entry, layers }: UnionEntry): Promise<void> {
    const [layer] = layers as [LayerPlace];
    const attributes = this.#attributes(entry, layer.owners?.get(path));
    const key = `${layer.path}:${entry.inode}`;
    const first = entry.links > 1 ? this.#files.get(key) : undefined;
    if (first !== undefined) {
      this.#out.record('link', { name, target: first });
      return;
    }
    if (entry.type !== 'symlink' && entry.links > 1) this.#files.set(key, name);
    switch (entry.type) {
      case 'file': {
        for await (const file of this.#reader.read([placeOf(layer, path)])) await this.#file(name, file, attributes);
        return;
      }
      case 'symlink':
        this.#out.record('symlink', { name, target: entry.target, ...attributes });
        return;
      case 'fifo':
        this.#node(name, entry, attributes);
        return;
      case 'character':
      case 'block':
        if (this.#devices) this.#node(name, entry, attributes);
        return;
      default:
        // A socket is of no use without its process.
        return;
    }
  }

  async #file(
    name: string,
    file: { readonly entry: TreeEntry | undefined; readonly content: AsyncIterable<Buffer> },
    attributes: Omit<LayerRecord, 'name'>,
  ): Promise<void> {
    if (file.entry === undefined) return;
    this.#out.record('file', { name, ...attributes, size: file.entry.size });
    for await (const bytes of file.content) {
      this.#out.content(bytes);
      if (this.#out.full) await this.#out.drained();
    }
  }

  #node(name: string, entry: TreeEntry, attributes: Omit<LayerRecord, 'name'>): void {
    const { major, minor } = entry;
    this.#out.record('node', { name, ...attributes, mode: entry.mode | nodeBits[entry.type]!, major, minor });
  }

  #attributes(entry: TreeEntry, recorded: Owner | undefined): Omit<LayerRecord, 'name'> {
    const { mode, mtime, nanoseconds } = entry;
    const { uid, gid } = recorded ?? entry;
    const xattrs = keptAttributes(entry.xattrs);
    return { mode, mtime, nanoseconds, xattrs, ...(this.#owners && { uid, gid }) };
  }
}
