import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { chunkBytes } from '../layers/chunk-pool.ts';
import { Refused } from '../layers/refused.ts';
import { type TarEntry, TarReader } from '../layers/tar.ts';
import { damagedHint } from './digest.ts';
import { archiveEntriesMax, archiveNameBytesMax } from './limits.ts';
import type { ImageFiles } from './source.ts';

/** Where a member's content stands in the archive, or which other member it is a link to. */
type Member = { readonly at: number; readonly size: number; repeated: boolean } | { readonly link: string };

const linksMax = 8;
const readBytes = 64 * 1024;

/**
 * Finds the members of a tar archive without reading their content, so that any can be read later from where it is.
 *
 * Takes the handle over: `close` closes it, and so does an error.
 */
export async function indexTar(handle: FileHandle): Promise<ImageFiles> {
  const members = new Map<string, Member>();
  const top = new Set<string>();
  try {
    await readMembers(handle, members, top);
    return tarFiles(handle, members, top);
  } catch (error) {
    await handle.close();
    const isAny = top.size > 0 || !(error instanceof Refused) || error.unsupported;
    throw isAny ? error : new Refused(`it is not a tar archive (${error.message})`);
  }
}

function tarFiles(handle: FileHandle, members: ReadonlyMap<string, Member>, top: ReadonlySet<string>): ImageFiles {
  return {
    size: async (name) => find(members, name)?.size,
    open: (name) => open(handle, find(members, name)),
    top: async () => [...top],
    close: () => handle.close(),
  };
}

function open(handle: FileHandle, member: { at: number; size: number } | undefined): Readable {
  if (member === undefined) throw new Refused('a file that should be in the archive is not');
  const bytes = readRange(handle, member.at, member.size);
  return Readable.from(bytes, { objectMode: false, highWaterMark: 2 * chunkBytes });
}

/** By the handle, not by its number: when that was closed meanwhile, the number may be another file's. */
async function* readRange(handle: FileHandle, start: number, size: number): AsyncGenerator<Buffer> {
  for (let at = start; at < start + size; ) {
    const buffer = Buffer.allocUnsafe(Math.min(chunkBytes, start + size - at));
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) throw new Refused('the archive is truncated', { hint: damagedHint });
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Follows links inside the archive: `docker save` used to store a shared layer once, and links to it. */
function find(members: ReadonlyMap<string, Member>, name: string) {
  let here = clean(name);
  for (let hops = 0; hops < linksMax; hops++) {
    const member = members.get(here);
    if (member === undefined) return undefined;
    if ('at' in member) {
      if (member.repeated) throw new Refused(`"${name}" is in the archive more than once`);
      return member;
    }
    here = member.link;
  }
  throw new Refused(`"${name}" is a link that leads nowhere`);
}

async function readMembers(handle: FileHandle, members: Map<string, Member>, top: Set<string>): Promise<void> {
  const reader = new TarReader();
  const { size: total } = await handle.stat();
  const buffer = Buffer.alloc(readBytes);
  let position = 0;
  let nameBytes = 0;
  while (!reader.ended) {
    const { bytesRead } = await handle.read(buffer, 0, readBytes, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    // A copy: the reader keeps what it has not used yet.
    reader.feed(Buffer.from(buffer.subarray(0, bytesRead)));
    for (let event = reader.next(); event !== undefined; event = reader.next()) {
      if (event.kind !== 'entry') continue;
      const { entry } = event;
      const at = position - reader.buffered;
      position += reader.skip();
      if (position > total) throw new Refused('the archive is truncated', { hint: damagedHint });
      add(members, entry, at);
      top.add(clean(entry.name).split('/', 1)[0]!);
      nameBytes += entry.name.length + entry.linkName.length;
      checkLimits(members.size, nameBytes);
    }
  }
  reader.finish();
}

function checkLimits(entries: number, nameBytes: number): void {
  if (entries > archiveEntriesMax || nameBytes > archiveNameBytesMax) {
    const hint = 'If it is the archive of a root file system, unpack it, and use the directory as rootfs.';
    throw new Refused(`the archive has too many files for an image (more than ${archiveEntriesMax})`, { hint });
  }
}

function add(members: Map<string, Member>, entry: TarEntry, at: number): void {
  const name = clean(entry.name);
  if (entry.type === 'file') {
    members.set(name, { at, size: entry.size, repeated: members.has(name) });
  } else if (entry.type === 'symlink') {
    members.set(name, { link: clean(`${name.slice(0, name.lastIndexOf('/') + 1)}${entry.linkName}`) });
  } else if (entry.type === 'link') {
    members.set(name, { link: clean(entry.linkName) });
  }
}

/** A name in one form. It is only ever a key of the index, so a hostile one finds nothing, or another member. */
function clean(name: string): string {
  const components: string[] = [];
  for (const component of name.split('/')) {
    if (component === '..') components.pop();
    else if (component !== '' && component !== '.') components.push(component);
  }
  return components.join('/');
}
