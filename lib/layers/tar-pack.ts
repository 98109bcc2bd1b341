import type { Difference } from './differences.ts';
import { type TarMember, tarEnd, tarHeader, tarPadding } from './tar-write.ts';
import type { ReadFile, TreeEntry, TreeReader } from './tree-reader.ts';
import type { Owner } from './union.ts';
import { keptAttributes } from './xattrs.ts';

/** Something to be packed: as a difference, and where its content is to be read, relative to the directory of all data. */
export interface Packed {
  readonly what: Difference;
  readonly at: string;
  /** Files of the same tree that have one inode are one file: which tree it is. */
  readonly tree: string;
}

/** Files that are asked for at once: none waits for the answer to the one before. */
const batchMax = 128;

/** A tar archive of what there is to pack; the same bytes for the same tree. */
export async function* packEntries(
  reader: TreeReader,
  items: AsyncIterable<Packed>,
): AsyncGenerator<Buffer, void, undefined> {
  const packer = new Packer(reader);
  let batch: Packed[] = [];
  for await (const item of items) {
    batch.push(item);
    if (batch.length < batchMax) continue;
    yield* packer.pack(batch);
    batch = [];
  }
  yield* packer.pack(batch);
  yield tarEnd;
}

class Packer {
  readonly #reader: TreeReader;
  /** Names of files that have others. */
  readonly #files = new Map<string, string>();
  /** Files that went while their directory was read. */
  readonly #gone = new Set<string>();

  constructor(reader: TreeReader) {
    this.#reader = reader;
  }

  async *pack(items: readonly Packed[]): AsyncGenerator<Buffer, void, undefined> {
    const members = items.map((item) => [item, this.#member(item)] as const);
    const isRead = ([{ what }, member]: (typeof members)[number]) => what.kind === 'entry' && member?.type === 'file';
    const files = this.#reader.read(members.filter(isRead).map(([{ at }]) => at));
    for (const each of members) {
      const [{ what }, member] = each;
      if (member === undefined) continue;
      if (isRead(each) && what.kind === 'entry') yield* this.#file(what, (await files.next()).value ?? undefined);
      else if (member.type !== 'link' || !this.#gone.has(member.target)) yield tarHeader(member);
    }
    await files.return();
  }

  async *#file(
    { path, entry, owner }: Extract<Difference, { kind: 'entry' }>,
    file: ReadFile | undefined,
  ): AsyncGenerator<Buffer, void, undefined> {
    if (file?.entry === undefined) {
      this.#gone.add(path);
      return;
    }
    // As it is now: it may have been written to since it was looked at. Attributes come with the directory only.
    const { mode, uid, gid, mtime, nanoseconds, size } = file.entry;
    yield tarHeader(memberOf(path, { ...entry, mode, uid, gid, mtime, nanoseconds, size }, owner));
    yield* file.content;
    yield tarPadding(size);
  }

  #member({ what, tree }: Packed): TarMember | undefined {
    switch (what.kind) {
      case 'removed':
        return whiteout(what.path, '.wh.');
      case 'opaque':
        return whiteout(`${what.path}/`, '.wh..wh..opq');
      case 'entry':
        break;
    }
    const { entry, path, owner } = what;
    // An archive has no word for a socket, nor is one of use without its process.
    if (entry.type === 'socket') return undefined;
    const member = memberOf(path, entry, owner);
    if (entry.type === 'directory' || entry.links < 2) return member;
    const key = `${tree}:${entry.inode}`;
    const first = this.#files.get(key);
    if (first === undefined) this.#files.set(key, path);
    return first === undefined ? member : { ...member, type: 'link', target: first, size: 0, xattrs: new Map() };
  }
}

function memberOf(name: string, entry: TreeEntry, owner: Owner | undefined): TarMember {
  const { type, mode, mtime, nanoseconds, size, target, major, minor, xattrs } = entry;
  // What was never given cannot have been changed.
  const { uid, gid } = owner !== undefined && entry.uid === 0 && entry.gid === 0 ? owner : entry;
  return {
    ...{ name, type: type as TarMember['type'], mode, uid, gid, mtime, nanoseconds, target },
    ...{ major: isDevice(type) ? major : 0, minor: isDevice(type) ? minor : 0, xattrs: keptAttributes(xattrs) },
    size: type === 'file' ? size : 0,
  };
}

const isDevice = (type: string): boolean => type === 'character' || type === 'block';

function whiteout(path: string, mark: string): TarMember {
  const at = path.lastIndexOf('/') + 1;
  return {
    ...{ name: `${path.slice(0, at)}${mark}${path.slice(at)}`, type: 'file', mode: 0, uid: 0, gid: 0, mtime: 0 },
    ...{ nanoseconds: 0, size: 0, target: '', major: 0, minor: 0, xattrs: new Map() },
  };
}
