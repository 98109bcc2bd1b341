import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ContainerNote } from '../host/image.ts';
import { type ContainerLayer, openContainerLayer } from '../layers/container-layer.ts';
import { recordBytesMax } from './in-use.ts';
import { readWhole } from './store/read.ts';

export type { Change } from '../layers/container-layer.ts';

/** A container, or its id, or the beginning of it that is no other's. */
export type ContainerName = string | { readonly id: string };

/** A container of an image, of whichever process, as far as an image can be made of it. */
export interface FoundContainer {
  readonly id: string;
  readonly layer: ContainerLayer;
  readonly note: ContainerNote;
}

export async function findContainer(host: Host, container: ContainerName): Promise<FoundContainer> {
  const containers = join(host.environment.dataDirectory, 'containers');
  const id = typeof container === 'string' ? await wholeId(containers, container) : container.id;
  const layer = await openContainerLayer(host, id);
  return { id, layer, note: await readNote(join(containers, id, 'container.json')) };
}

/** Of an image and changes: what lies between them would not be in an image of the two. */
export function mustBeOfImage({ id, layer }: FoundContainer): void {
  if (layer.snapshots.length === 0) return;
  throw new RuntsError(
    'ERR_UNSUPPORTED',
    `cannot make an image of container ${id.slice(0, 12)}: it is made from a snapshot`,
    {
      hint: '`images.export` gives its whole root file system, of which `images.import` makes an image.',
    },
  );
}

async function wholeId(containers: string, text: string): Promise<string> {
  const all: readonly string[] = await readdir(containers).catch(() => []);
  const found = all.includes(text) ? [text] : all.filter((id) => text !== '' && id.startsWith(text));
  const [id] = found;
  if (id === undefined) {
    throw new RuntsError('ERR_NOT_FOUND', `No such container: ${text}`, {
      hint: 'Containers of images are meant, while they are there: those of `runts run --image` until they end.',
    });
  }
  if (found.length === 1) return id;
  throw new RuntsError('ERR_NOT_FOUND', `the id ${text} is the beginning of ${found.length} containers' ids`, {
    hint: `Give more of it: ${found.slice(0, 5).join(', ')}.`,
  });
}

/** We have written it ourselves, into a directory that nobody else can write to. */
async function readNote(path: string): Promise<ContainerNote> {
  // The layer was opened before, by what stands there: it is whole.
  const bytes = await readWhole(path, recordBytesMax);
  const {
    command = [],
    config = {},
    mountPoints = [],
  } = JSON.parse(bytes?.toString() ?? '{}') as Partial<ContainerNote>;
  return { command, config, mountPoints };
}
