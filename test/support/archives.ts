import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { type TarMember, tarEnd, tarHeader, tarPadding } from '../../lib/layers/tar-write.ts';

/** One member of a test's archive. Whatever is left out is ordinary; what is given is written as it is, lies too. */
export interface Member {
  readonly name: string;
  /** The type flag; default '0', a file, or '5' where the name ends with a slash. */
  readonly type?: string;
  readonly content?: string | Buffer;
  readonly link?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  /** Of a device. */
  readonly major?: number;
  readonly minor?: number;
  /** What the header says, whatever the content is. */
  readonly size?: number;
  readonly checksum?: number;
  readonly prefix?: string;
  /** Records of a pax header to go before it. */
  readonly pax?: Readonly<Record<string, string>>;
}

const block = 512;

/** A tar archive, with the two zero blocks at its end. */
export function tar(...members: readonly Member[]): Buffer {
  return Buffer.concat([...members.map(tarMember), Buffer.alloc(2 * block)]);
}

/** A member alone, for archives that end where they should not. */
export function tarMember(member: Member): Buffer {
  const { pax, ...rest } = member;
  const parts = pax === undefined ? [] : [tarMember({ name: 'pax', type: 'x', content: paxBody(pax) })];
  const content = Buffer.from(rest.content ?? '');
  parts.push(header(rest, content.length), content, Buffer.alloc((block - (content.length % block)) % block));
  return Buffer.concat(parts);
}

export function paxBody(records: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value)));
}

function paxRecord(key: string, value: string): Buffer {
  const rest = Buffer.from(` ${key}=${value}\n`, 'latin1');
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

function header(member: Member, contentBytes: number): Buffer {
  const bytes = Buffer.alloc(block);
  const type = member.type ?? (member.name.endsWith('/') ? '5' : '0');
  bytes.write(member.name, 0, 100, 'latin1');
  bytes.write(octal(member.mode ?? (type === '5' ? 0o755 : 0o644), 8), 100);
  writeNumber(bytes, member.uid ?? 0, 108, 8);
  writeNumber(bytes, member.gid ?? 0, 116, 8);
  writeNumber(bytes, member.size ?? contentBytes, 124, 12);
  bytes.write(octal(member.mtime ?? 1_000_000_000, 12), 136);
  bytes.write(type, 156, 1, 'latin1');
  bytes.write(member.link ?? '', 157, 100, 'latin1');
  bytes.write('ustar\x0000', 257, 'latin1');
  bytes.write(octal(member.major ?? 0, 8), 329);
  bytes.write(octal(member.minor ?? 0, 8), 337);
  bytes.write(member.prefix ?? '', 345, 155, 'latin1');
  bytes.fill(' ', 148, 156);
  const sum = bytes.reduce((total, byte) => total + byte, 0);
  bytes.write(`${octal(member.checksum ?? sum, 7)}\0 `, 148, 8, 'latin1');
  return bytes;
}

function octal(value: number, length: number): string {
  return value.toString(8).padStart(length - 1, '0');
}

/** In octal, or where that is too short in GNU's binary form. */
function writeNumber(bytes: Buffer, value: number, at: number, length: number): void {
  if (value < 8 ** (length - 1)) {
    bytes.write(octal(value, length), at);
    return;
  }
  bytes[at] = 0x80;
  bytes.writeUIntBE(value, at + length - 6, 6);
}

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** A layer as `unpackLayers` wants it, from the bytes of a tar archive. */
export function layer(bytes: Buffer, stored = bytes) {
  const diffId = sha256(bytes);
  return { digest: sha256(stored), diffId, open: () => Readable.from([stored], { objectMode: false }) };
}

/** The files of an image, as documents and blobs, for tests to put lies into before they are packed. */
export interface ImageParts {
  readonly layers: readonly Buffer[];
  readonly config?: unknown;
  readonly architecture?: string;
  readonly os?: string;
}

export const thisArchitecture = process.arch === 'x64' ? 'amd64' : process.arch;

export function configOf({ layers, config = {}, architecture = thisArchitecture, os = 'linux' }: ImageParts) {
  return { architecture, os, config, rootfs: { type: 'layers', diff_ids: layers.map(sha256) } };
}

export type Files = Record<string, Buffer | string>;

/** What `docker save` used to write. */
export function dockerFiles(parts: ImageParts, tags: readonly string[] = ['test:latest']): Files {
  const config = JSON.stringify(configOf(parts));
  const id = sha256(config).slice(7);
  const names = parts.layers.map((bytes, index) => `${index}-${sha256(bytes).slice(7, 20)}/layer.tar`);
  return {
    'manifest.json': JSON.stringify([{ Config: `${id}.json`, RepoTags: tags, Layers: names }]),
    [`${id}.json`]: config,
    ...Object.fromEntries(parts.layers.map((bytes, index) => [names[index]!, bytes])),
  };
}

export interface OciImage {
  readonly files: Files;
  readonly descriptor: Record<string, unknown>;
}

export interface OciLies {
  readonly manifest?: Record<string, unknown>;
  readonly layerType?: string;
  readonly configType?: string;
}

const oci = 'application/vnd.oci.image';

export function blob(files: Files, bytes: Buffer | string): { digest: string; size: number } {
  const digest = sha256(bytes);
  files[`blobs/${digest.replace(':', '/')}`] = bytes;
  return { digest, size: Buffer.byteLength(bytes) };
}

/** The blobs of an image in an OCI layout, its layers compressed, and the descriptor of its manifest. */
export function ociImage(parts: ImageParts, lies: OciLies = {}): OciImage {
  const files: Files = {};
  const { layerType = `${oci}.layer.v1.tar+gzip`, configType = `${oci}.config.v1+json` } = lies;
  const manifest = {
    schemaVersion: 2,
    mediaType: `${oci}.manifest.v1+json`,
    config: { mediaType: configType, ...blob(files, JSON.stringify(configOf(parts))) },
    layers: parts.layers.map((bytes) => ({ mediaType: layerType, ...blob(files, gzipSync(bytes)) })),
    ...lies.manifest,
  };
  const descriptor = { mediaType: `${oci}.manifest.v1+json`, ...blob(files, JSON.stringify(manifest)) };
  return { files, descriptor };
}

/** An OCI layout with these descriptors in its index. */
export function ociFiles(descriptors: readonly unknown[], ...images: readonly Files[]): Files {
  return {
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: descriptors }),
    ...Object.assign({}, ...images),
  };
}

/** An index of images for platforms, as a blob. */
export function ociIndex(descriptors: readonly unknown[]): OciImage {
  const files: Files = {};
  const mediaType = `${oci}.index.v1+json`;
  const index = JSON.stringify({ schemaVersion: 2, mediaType, manifests: descriptors });
  return { files, descriptor: { mediaType, ...blob(files, index) } };
}

export function packFiles(files: Files): Buffer {
  return tar(...Object.entries(files).map(([name, content]) => ({ name, content })));
}

/** A member as our own writer has it; whatever is left out is that of an ordinary file of root. */
export type WrittenMember = Partial<TarMember> & { readonly name: string; readonly text?: string };

/** A stream of an archive that our own writer makes, for what `docker cp` takes. */
export const written = (...members: readonly WrittenMember[]): Readable =>
  Readable.from(
    members
      .flatMap(({ text = '', ...member }) => {
        const content = Buffer.from(text);
        const plain = { type: 'file', mode: 0o644, uid: 0, gid: 0, mtime: 1_700_000_000, nanoseconds: 0, target: '' };
        const rest = { major: 0, minor: 0, xattrs: new Map(), size: content.length };
        return [tarHeader({ ...plain, ...rest, ...member } as TarMember), content, tarPadding(content.length)];
      })
      .concat(tarEnd),
  );
