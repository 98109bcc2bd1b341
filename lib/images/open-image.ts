import { RuntsError } from '../errors.ts';
import type { ImageIdentity, PullPolicy } from '../host/image.ts';
import type { LayerSource } from '../layers/extract.ts';
import type { RootImage } from '../layers/root.ts';
import type { ImageConfig } from '../spec/image-config.ts';
import { thisPlatform } from './archive.ts';
import { samePlatform } from './choose.ts';
import type { Images } from './images.ts';
import type { Descriptor } from './manifest.ts';
import { parseReference, showReference } from './reference.ts';
import { noSuchImage } from './remove.ts';
import { type ImageSource, showPlatform } from './source.ts';
import type { ImageStore, StoredImage } from './store/store.ts';
import type { OnProgress } from './transfer/progress.ts';

export interface OpenOptions {
  readonly pull: PullPolicy;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: OnProgress | undefined;
  /** Hears that the image is not here, and will be pulled. */
  readonly onMissing?: ((reference: string) => void) | undefined;
}

/** An image for a container. */
export interface Opened {
  readonly identity: ImageIdentity;
  readonly config: ImageConfig;
  readonly image: RootImage;
  close(): Promise<void>;
}

/** Opens a stored image for this machine, once it is here. Once its layers are held they stay until it is closed. */
export async function openNamed(images: Images, text: string, options: OpenOptions): Promise<Opened> {
  const store = await images.store();
  const image = await present(images, text, options);
  const exact = image.names.find(({ reference }) => reference === whole(text));
  const { descriptor, document, manifest } = image;
  let source: Promise<ImageSource> | undefined;
  const hold = async (): Promise<void> => {
    source ??= store.source(image);
    await source;
  };
  // There are not as many diff ids as layers: whoever reads it whole says so.
  if (document.diffIds.length !== manifest.layers.length) await hold();
  return {
    identity: { reference: exact?.reference, id: image.id, digest: descriptor.digest },
    config: document.config,
    image: {
      digest: descriptor.digest,
      layers: manifest.layers.map((layer, i) => layerOf(store, layer, document.diffIds[i]!)),
      hold,
    },
    close: async () => (await source?.catch(() => undefined))?.close(),
  };
}

/** Whoever unpacks a layer checks its diff id: one that is not compressed need not be verified twice. */
const layerOf = (store: ImageStore, layer: Descriptor, diffId: string): LayerSource => ({
  ...{ digest: layer.digest, diffId },
  open: () => (layer.digest === diffId ? store.openUnverified(layer) : store.open(layer)),
});

async function present(images: Images, text: string, options: OpenOptions): Promise<StoredImage> {
  const { pull, onMissing, signal, onProgress } = options;
  const store = await images.store();
  const before = pull === 'always' ? undefined : await store.recall(text);
  if (before !== undefined && isOurs(before)) return before;
  if (pull === 'never') throw before === undefined ? notHere(text) : foreign(text, before);
  if (before === undefined) refuseFile(text);
  if (pull === 'missing') onMissing?.(showReference(parseReference(text)));
  const { reference } = await images.pull(text, { signal, onProgress });
  const pulled = await store.resolve(reference, { platform: thisPlatform() });
  if (pulled === undefined) throw noSuchImage(text);
  if (!isOurs(pulled)) throw foreign(text, pulled);
  return pulled;
}

const isOurs = ({ document }: StoredImage): boolean => samePlatform(document.platform, thisPlatform());

function foreign(text: string, { document }: StoredImage): RuntsError {
  const [its, ours] = [document.platform, thisPlatform()].map(showPlatform);
  return new RuntsError('ERR_UNSUPPORTED', `the image ${text} is for ${its}, and this machine is ${ours}`, {
    origin: '/image',
    hint: `\`runts pull --platform ${ours} ${text}\` brings the one for this machine, if there is one.`,
  });
}

function notHere(text: string): RuntsError {
  return new RuntsError('ERR_NOT_FOUND', `No such image: ${text}`, {
    origin: '/image',
    hint: 'Pull it, or let it be pulled: pull: "missing".',
  });
}

/** What is called like an archive is hardly meant to be looked for in a registry. */
function refuseFile(text: string): void {
  if (!/\.(tar|tgz|tar\.[a-z0-9]+)$/.test(text)) return;
  throw new RuntsError('ERR_NOT_FOUND', `No such image: ${text}`, {
    origin: '/image',
    hint: `For the file of that name say ./${text}; for an image of that name, pull it first.`,
  });
}

/** A name in full; undefined for what is none. */
function whole(text: string): string | undefined {
  try {
    return showReference(parseReference(text));
  } catch {
    return undefined;
  }
}
