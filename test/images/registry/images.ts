import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseReference } from '../../../lib/images/reference.ts';
import type { RegistryConfig } from '../../../lib/images/registry/config.ts';
import { defaultTiming } from '../../../lib/images/registry/timing.ts';
import { ImageStore } from '../../../lib/images/store/store.ts';
import type { OnProgress } from '../../../lib/images/transfer/progress.ts';
import { pull } from '../../../lib/images/transfer/pull.ts';
import { push } from '../../../lib/images/transfer/push.ts';
import { ociImage, ociIndex, tar } from '../../support/archives.ts';
import { temporaryDirectory } from '../../support/unpacked.ts';

/** A store that goes when the test ends. */
export async function newStore(): Promise<ImageStore> {
  return ImageStore.open(join(await temporaryDirectory(), 'images'));
}

/** The configuration of somebody who has configured nothing, and has no patience. */
export function configFor(home: string, more: Partial<RegistryConfig> = {}): RegistryConfig {
  return {
    registries: {},
    certificates: [join(home, 'certs.d')],
    environment: { HOME: home, PATH: process.env['PATH'] },
    timing: { ...defaultTiming, stallMs: 10_000, backoffMs: 10, backoffMsMax: 100 },
    ...more,
  };
}

/** A layer of so many bytes that cannot be compressed, and differs from every other. */
export function someLayer(bytes: number): Buffer {
  return tar({ name: 'file', content: randomBytes(bytes) });
}

type Image = ReturnType<typeof ociImage>;

/** Puts an image into a store, under a name. */
export async function storeImage(store: ImageStore, name: string, { files, descriptor }: Image): Promise<void> {
  for (const bytes of Object.values(files)) await store.put(Buffer.from(bytes), 'application/octet-stream');
  await store.tag(name, asDescriptor(descriptor));
}

export function asDescriptor(descriptor: Record<string, unknown>) {
  const { mediaType, digest, size } = descriptor as { mediaType: string; digest: string; size: number };
  return { mediaType, digest, size, platform: undefined, annotations: {} };
}

/** Images for these platforms, and an index of them. */
export function forPlatforms(...platforms: readonly { os: string; architecture: string; variant?: string }[]): Image {
  const images = platforms.map((platform) => {
    const image = ociImage({ layers: [someLayer(1000)], ...platform });
    return { files: image.files, descriptor: { ...image.descriptor, platform } };
  });
  const index = ociIndex(images.map(({ descriptor }) => descriptor));
  return { ...index, files: Object.assign({}, index.files, ...images.map(({ files }) => files)) };
}

/** Pushes a new image with layers of these sizes to a registry. */
export async function publish(host: string, name: string, sizes: readonly number[], config: RegistryConfig) {
  const directory = await mkdtemp(join(tmpdir(), 'runts-test-'));
  try {
    const store = await ImageStore.open(directory);
    const image = ociImage({ layers: sizes.map(someLayer) });
    await storeImage(store, `${host}/${name}`, image);
    await push(store, parseReference(`${host}/${name}`), { config });
    return image;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

export interface Recorded {
  readonly onProgress: OnProgress;
  readonly news: { layer: string; phase: string; done: number; total: number; reason?: string | undefined }[];
}

export function record(): Recorded {
  const news: Recorded['news'] = [];
  return { news, onProgress: (progress) => void news.push(progress) };
}

export const pullTo = (store: ImageStore, name: string, config: RegistryConfig, more = {}) =>
  pull(store, parseReference(name), { config, ...more });
