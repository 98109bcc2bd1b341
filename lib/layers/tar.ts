import { extendedHeaderBytesMax } from './limits.ts';
import { applyPax, checkGlobalPax, type PaxRecords, parsePax, sparseHint, type Xattrs, xattrsOf } from './pax.ts';
import { Refused } from './refused.ts';
import { blockBytes, decodeHeader, isZeroBlock, type TarHeader } from './tar-header.ts';

export type TarEntryType = 'file' | 'directory' | 'symlink' | 'link' | 'character' | 'block' | 'fifo';

/** One member of an archive; `name` and `linkName` are byte strings exactly as written, and hostile. */
export interface TarEntry {
  readonly type: TarEntryType;
  readonly name: string;
  readonly linkName: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 for everything but a file. */
  readonly size: number;
  readonly mtime: number;
  readonly nanoseconds: number;
  /** Of a device. */
  readonly major: number;
  readonly minor: number;
  readonly xattrs: Xattrs;
}

export type TarEvent =
  | { readonly kind: 'entry'; readonly entry: TarEntry }
  /** A piece of the last entry's content; it is a view of the chunk that was fed. */
  | { readonly kind: 'data'; readonly bytes: Buffer }
  /** The last entry is complete. */
  | { readonly kind: 'end' };

const types: Record<string, TarEntryType> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'symlink',
  '3': 'character',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

const noXattrs: Xattrs = new Map();
const endEvent: TarEvent = { kind: 'end' };

/** Extended headers seen since the last entry: they describe the next one. */
interface Extended {
  pax?: PaxRecords;
  longName?: string;
  longLink?: string;
}

/**
 * Reads a tar stream strictly: feed it chunks of any size, and take events until it has none.
 *
 * It is synchronous and pulls, so that its user decides when to pause, and can leave out an entry's content without
 * having read it (`skip`). Headers that programs are known to read in different ways are refused: content that means
 * one thing to a scanner and another to us is how files are smuggled.
 */
export class TarReader {
  #chunk: Buffer = Buffer.alloc(0);
  #at = 0;
  /** Content of the current entry, or extended header, still to come; and the padding after it. */
  #remain = 0;
  #padding = 0;
  #open = false;
  #zeroBlocks = 0;
  #ended = false;
  #extended: Extended = {};
  #collecting: { readonly type: string; readonly parts: Buffer[] } | undefined;

  /** True once the two zero blocks that end an archive were seen; whatever follows is not read. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Gives the next bytes of the stream; `next` must have returned undefined, and the chunk before this one is not looked at any more. */
  feed(chunk: Buffer): void {
    const rest = this.#chunk.subarray(this.#at);
    this.#chunk = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    this.#at = 0;
  }

  /** The next event, or undefined when it needs more bytes first. */
  next(): TarEvent | undefined {
    while (!this.#ended) {
      if (this.#remain > 0) {
        const bytes = this.#take(this.#remain);
        if (bytes.length === 0) return this.#keepRest();
        this.#remain -= bytes.length;
        if (this.#collecting === undefined) return { kind: 'data', bytes };
        this.#collecting.parts.push(Buffer.from(bytes));
      } else if (this.#open) {
        this.#open = false;
        if (this.#collecting === undefined) return endEvent;
        this.#finishExtended();
      } else if (this.#padding > 0) {
        const dropped = this.#take(this.#padding).length;
        if (dropped === 0) return this.#keepRest();
        this.#padding -= dropped;
      } else {
        if (this.#chunk.length - this.#at < blockBytes) return this.#keepRest();
        const entry = this.#header();
        if (entry !== undefined) return { kind: 'entry', entry };
      }
    }
    this.#at = this.#chunk.length;
    return this.#keepRest();
  }

  /** Leaves out the current entry's content; returns how many bytes of the stream not yet fed belong to it. */
  skip(): number {
    let bytes = this.#remain + this.#padding;
    this.#remain = 0;
    this.#padding = 0;
    this.#open = false;
    const here = Math.min(bytes, this.#chunk.length - this.#at);
    this.#at += here;
    bytes -= here;
    return bytes;
  }

  /** Bytes fed and not yet consumed. */
  get buffered(): number {
    return this.#chunk.length - this.#at;
  }

  /**
   * Says that the stream is over; refuses one that ends inside an entry.
   *
   * The end mark may be missing, and the padding before it: umoci writes such layers, and Go reads them.
   */
  finish(): void {
    if (this.#ended) return;
    const inside = this.#remain + this.buffered > 0 || this.#open;
    if (inside || Object.keys(this.#extended).length > 0) throw new Refused('the tar archive is truncated');
  }

  /** Part of a header, or nothing: a copy, for the chunk may be read into again, or be gone. */
  #keepRest(): undefined {
    this.#chunk = Buffer.from(this.#chunk.subarray(this.#at));
    this.#at = 0;
  }

  #take(wanted: number): Buffer {
    const bytes = this.#chunk.subarray(this.#at, Math.min(this.#at + wanted, this.#chunk.length));
    this.#at += bytes.length;
    return bytes;
  }

  #header(): TarEntry | undefined {
    const at = this.#at;
    this.#at += blockBytes;
    if (this.#chunk[at] === 0 && isZeroBlock(this.#chunk, at)) {
      this.#zeroBlocks++;
      this.#ended = this.#zeroBlocks === 2;
      return undefined;
    }
    if (this.#zeroBlocks > 0) throw new Refused('the tar archive goes on after a block that may mean its end');
    const header = decodeHeader(this.#chunk, at);
    return 'xgLK'.includes(header.type) ? this.#startExtended(header) : this.#entry(header);
  }

  #startExtended(header: TarHeader): undefined {
    if (header.size > extendedHeaderBytesMax) {
      throw new Refused(`an extended header has ${header.size} bytes; the limit is ${extendedHeaderBytesMax}`);
    }
    this.#checkAlone(header.type);
    this.#collecting = { type: header.type, parts: [] };
    this.#expect(header.size);
    return undefined;
  }

  /** Of several that say one thing, Go takes GNU's, GNU tar the one of pax. Nothing writes them. */
  #checkAlone(type: string): void {
    const { pax, longName, longLink } = this.#extended;
    const before = { x: pax ?? longName ?? longLink, L: pax ?? longName, K: pax ?? longLink }[type];
    if (before === undefined) return;
    throw new Refused('an entry has extended headers of two kinds or one twice, which programs read in different ways');
  }

  #finishExtended(): void {
    const { type, parts } = this.#collecting!;
    this.#collecting = undefined;
    const body = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    if (type === 'x') this.#extended.pax = parsePax(body);
    if (type === 'g') checkGlobalPax(parsePax(body));
    if (type === 'L') this.#extended.longName = untilNul(body);
    if (type === 'K') this.#extended.longLink = untilNul(body);
  }

  #entry(header: TarHeader): TarEntry {
    const { pax, longName, longLink } = this.#extended;
    this.#extended = {};
    if (pax !== undefined) applyPax(header, pax);
    if (longName !== undefined) header.name = longName;
    if (longLink !== undefined) header.linkName = longLink;
    const type = entryType(header);
    const size = contentBytes(type, header, pax);
    this.#expect(size);
    const { name, linkName, mode, uid, gid, mtime, nanoseconds, major, minor } = header;
    return {
      type,
      name,
      linkName,
      mode,
      uid,
      gid,
      size,
      mtime,
      nanoseconds,
      major,
      minor,
      xattrs: pax === undefined ? noXattrs : xattrsOf(pax),
    };
  }

  #expect(size: number): void {
    this.#remain = size;
    this.#padding = (blockBytes - (size % blockBytes)) % blockBytes;
    this.#open = true;
  }
}

function entryType(header: TarHeader): TarEntryType {
  if (header.type === 'S') throw new Refused('a file is stored sparse', sparseHint);
  const type = Object.hasOwn(types, header.type) ? types[header.type] : undefined;
  if (type === undefined) throw new Refused(`entry of unknown type ${JSON.stringify(header.type)}`);
  // Before 1988, a directory was a file whose name ends with a slash.
  if (type !== 'file' || !header.name.endsWith('/')) return type;
  if (header.size > 0) throw new Refused('a file with content has a name that ends with a slash');
  return 'directory';
}

/** Everything but a file is a header only, whatever size a directory or a link claims: so read Go and GNU tar. */
function contentBytes(type: TarEntryType, { size }: TarHeader, pax: PaxRecords | undefined): number {
  if (type === 'file') return size;
  const harmless = (type === 'directory' || type === 'link') && (pax?.get('size') ?? '') === '';
  // Here they differ: to GNU tar, content follows.
  if (size > 0 && !harmless)
    throw new Refused(`an entry that can have no content (${type}) claims ${size} bytes of it`);
  return 0;
}

function untilNul(body: Buffer): string {
  const nul = body.indexOf(0);
  return body.toString('latin1', 0, nul === -1 ? body.length : nul);
}
