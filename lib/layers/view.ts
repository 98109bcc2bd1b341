import { constants } from 'node:fs';
import { lstat, open, readlink } from 'node:fs/promises';
import { symlinksMax } from './limits.ts';

/** A layer on disk: its directory, and which of its directories hide what is below them. */
export interface ViewedLayer {
  readonly diff: string;
  readonly opaque: ReadonlySet<string>;
}

/** Something that layers show together, as a union mount would. */
interface Found {
  readonly kind: 'directory' | 'link' | 'file' | 'other';
  /** Where on the host: the topmost. */
  readonly path: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  /** Of a directory: the layers that take part in it. */
  readonly layers: readonly ViewedLayer[];
}

/**
 * What layers show together without being mounted: for the little of an image that we read ourselves, which is who its users
 * are. Nobody writes to layers, and no link of theirs is followed by the kernel: each component is looked at by itself.
 */
export class LayerView {
  readonly #layers: readonly ViewedLayer[];
  #mode: Promise<number> | undefined;
  readonly #entries = new Map<string, Found>();
  readonly #remembered: number;
  readonly #texts = new Map<string, Promise<string | undefined>>();

  /**
   * The topmost layer first. Whoever looks at a great many names has so many entries remembered that were looked at last: the
   * next name is in one of these as a rule, and not looked for from the root on.
   */
  constructor(layers: readonly ViewedLayer[], { remembered = 0 }: { readonly remembered?: number } = {}) {
    this.#layers = layers;
    this.#remembered = remembered;
  }

  /** The entry of that name, a byte string, not following any link; undefined where there is none, or we may not look. */
  async entry(name: string): Promise<Found | undefined> {
    if (this.#entries.has(name)) return this.#entries.get(name);
    const directory = name === '' ? undefined : await this.entry(name.slice(0, Math.max(0, name.lastIndexOf('/'))));
    const layers = name === '' ? this.#layers : directory?.kind === 'directory' ? directory.layers : [];
    const found = await this.#at(name, layers);
    if (found === undefined || this.#remembered === 0) return found;
    const [oldest] = this.#entries.keys();
    if (this.#entries.size >= this.#remembered && oldest !== undefined) this.#entries.delete(oldest);
    this.#entries.set(name, found);
    return found;
  }

  /** The mode of the root directory; read once. */
  mode(): Promise<number> {
    this.#mode ??= this.entry('').then((found) => found?.mode ?? 0o755);
    return this.#mode;
  }

  /**
   * The text of a regular file, following links inside the layers; undefined where there is none. It is read once: layers do
   * not change.
   */
  read(path: string, bytesMax: number): Promise<string | undefined> {
    const key = `${bytesMax} ${path}`;
    const known = this.#texts.get(key) ?? this.#read(path, bytesMax);
    this.#texts.set(key, known);
    known.catch(() => this.#texts.delete(key));
    return known;
  }

  async #read(path: string, bytesMax: number): Promise<string | undefined> {
    const { found } = (await this.#follow(path)) ?? {};
    return found?.kind === 'file' ? readText(found.path, bytesMax) : undefined;
  }

  /** The name of the directory that a name leads to by way of links; undefined where it leads to none. */
  async directory(path: string): Promise<string | undefined> {
    const { found, name } = (await this.#follow(path)) ?? {};
    return found === undefined || found.kind === 'directory' ? name : undefined;
  }

  /** What a path leads to, following links inside the layers as chroot(2) would; nothing is found of the root itself. */
  async #follow(path: string): Promise<{ readonly name: string; readonly found: Found | undefined } | undefined> {
    const pending = path.split('/').reverse();
    let last: Found | undefined;
    const here: string[] = [];
    let hops = 0;
    while (pending.length > 0) {
      const component = pending.pop()!;
      if (component === '' || component === '.') continue;
      if (component === '..') {
        here.pop();
        last = here.length === 0 ? undefined : await this.entry(here.join('/'));
        continue;
      }
      here.push(component);
      const found = await this.entry(here.join('/'));
      if (found === undefined) return withoutRest(here, pending);
      last = found;
      if (found.kind === 'directory') continue;
      if (found.kind !== 'link') return pending.length > 0 ? undefined : { name: here.join('/'), found };
      if (++hops > symlinksMax) return undefined;
      last = undefined;
      const target = await readlink(found.path, { encoding: 'latin1' });
      if (target.startsWith('/')) here.length = 0;
      else here.pop();
      pending.push(...target.split('/').reverse());
    }
    return { name: here.join('/'), found: here.length === 0 ? undefined : last };
  }

  async #at(name: string, layers: readonly ViewedLayer[]): Promise<Found | undefined> {
    const taking: ViewedLayer[] = [];
    let top: Found | undefined;
    for (const layer of layers) {
      const path = Buffer.concat([Buffer.from(`${layer.diff}/`), Buffer.from(name, 'latin1')]);
      const stats = await lstat(path, { bigint: true }).catch(() => undefined);
      if (stats === undefined) continue;
      if (!stats.isDirectory() && taking.length > 0) break;
      if (stats.isCharacterDevice() && stats.rdev === 0n) break;
      const kind = stats.isDirectory()
        ? 'directory'
        : stats.isSymbolicLink()
          ? 'link'
          : stats.isFile()
            ? 'file'
            : 'other';
      const [uid, gid, mode] = [Number(stats.uid), Number(stats.gid), Number(stats.mode) & 0o7777];
      top ??= { kind, path, mode, uid, gid, mtimeNs: stats.mtimeNs, layers: taking };
      if (kind !== 'directory') break;
      taking.push(layer);
      if (layer.opaque.has(name)) break;
    }
    return top;
  }
}

/** Where a path leads from something that is not there, as far as its text says. */
function withoutRest(here: readonly string[], pending: readonly string[]) {
  const rest = [...pending].reverse().filter((component) => component !== '' && component !== '.');
  return rest.includes('..') ? undefined : { name: [...here, ...rest].join('/'), found: undefined };
}

async function readText(path: Buffer, bytesMax: number): Promise<string | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (file === undefined) return undefined;
  try {
    const { size } = await file.stat();
    if (size > bytesMax) return undefined;
    const bytes = Buffer.alloc(size);
    const { bytesRead } = await file.read(bytes, 0, size, 0);
    return bytes.toString('utf8', 0, bytesRead);
  } finally {
    await file.close();
  }
}
