import { Budget, type LayerSource } from '../../layers/extract.ts';
import { unpackLimits } from '../../layers/limits.ts';
import type { EnsureOptions, LayerProgress } from '../../layers/store.ts';
import { thisPlatform } from '../archive.ts';
import { samePlatform } from '../choose.ts';
import type { Manifest } from '../manifest.ts';
import type { ImageStore } from '../store/store.ts';
import { type Document, parseConfig } from './documents.ts';
import type { OnProgress, Progress } from './progress.ts';
import type { Stop } from './several.ts';

/** Where layers are unpacked to. */
export interface UnpackLayers {
  /** Whether any are. */
  isKept(): Promise<boolean>;
  /** Unpacks those that are not there yet. */
  ensure(layers: readonly LayerSource[], options: EnsureOptions): Promise<void>;
}

/** Blobs that are here by now. */
export class Arrivals {
  readonly #here = new Map<string, 'exists' | 'done'>();
  #news: (() => void)[] = [];

  add(digest: string, how: 'exists' | 'done'): void {
    this.#here.set(digest, how);
    const waiting = this.#news;
    this.#news = [];
    for (const hear of waiting) hear();
  }

  /** Whether it was here before; undefined where it is not here yet. */
  how(digest: string): 'exists' | 'done' | undefined {
    return this.#here.get(digest);
  }

  /** Waits until a blob is here; rejects when the transfer is stopped. */
  async until(digest: string, signal: AbortSignal): Promise<void> {
    while (!this.#here.has(digest)) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#news.push(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }
}

interface Arriving {
  readonly store: ImageStore;
  readonly all: readonly Document[];
  readonly name: string;
  readonly arrivals: Arrivals;
  readonly stop: Stop;
  readonly onProgress: OnProgress | undefined;
  readonly unpack: UnpackLayers;
}

/**
 * Unpacks the image for this machine: from the lowest layer on, whatever is here, and then what has come meanwhile. So no
 * lock of a layer is held while the network is waited for.
 */
export async function unpackArriving(arriving: Arriving): Promise<void> {
  const { store, arrivals, stop, unpack } = arriving;
  const image = await imageForUs(arriving);
  if (image === undefined) return;
  const { manifest, diffIds } = image;
  const layers = manifest.layers.map(({ digest, size }, i) => ({
    digest,
    diffId: diffIds[i]!,
    open: () => store.open({ digest, size }),
  }));
  const budget = new Budget(unpackLimits);
  const tell = newsOf(arriving, manifest);
  for (let count = 0; count < layers.length; ) {
    await arrivals.until(layers[count]!.digest, stop.signal);
    const missing = layers.findIndex(({ digest }) => arrivals.how(digest) === undefined);
    count = missing < 0 ? layers.length : missing;
    await unpack.ensure(layers.slice(0, count), { signal: stop.signal, onProgress: tell, budget });
  }
}

async function imageForUs({ store, all, name, arrivals, stop }: Arriving) {
  for (const { content } of all) {
    if (content.kind !== 'manifest') continue;
    await arrivals.until(content.config.digest, stop.signal);
    const { diffIds, platform } = parseConfig(await store.read(content.config), content, name);
    if (samePlatform(platform, thisPlatform())) return { manifest: content, diffIds };
  }
  return undefined;
}

/** News of unpacking in the words of a transfer: each layer is done once, and what was here in every way is no news. */
function newsOf(
  { onProgress, arrivals, stop }: Arriving,
  { layers }: Manifest,
): ((progress: LayerProgress) => void) | undefined {
  if (onProgress === undefined) return undefined;
  const ended = new Set<number>();
  const tell = async (news: Progress): Promise<void> => void (await onProgress(news));
  return ({ layer, what, bytes }) => {
    const { digest, size } = layers[layer]!;
    if (ended.has(layer)) return;
    if (what !== 'extracting') ended.add(layer);
    if (what === 'exists' && arrivals.how(digest) === 'exists') return;
    const news = what === 'extracting' ? { phase: what, done: bytes } : { phase: 'done' as const, done: size };
    tell({ layer: digest, ...news, total: size }).catch((error: unknown) => stop.abort(error));
  };
}
