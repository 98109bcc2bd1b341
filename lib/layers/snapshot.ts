import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Host } from '../host/host.ts';
import type { ImageRoot, RootPlace } from '../host/image.ts';
import {
  type ContainerFile,
  containerFileName,
  copyBaseName,
  copyDevicesName,
  ownTree,
  readContainerFile,
  writeContainerFile,
} from './container-file.ts';
import { copyBaseOwners } from './copy-base.ts';
import { type Copied, copyWhole } from './copy-tree.ts';
import { readLayerFile } from './layer-file.ts';
import { limited, noteCopy, stand } from './root.ts';
import { LayerView, type ViewedLayer } from './view.ts';

/** What a container had of its own at a moment, in a directory beside those of containers: a layer above its image's. */
export interface SnapshotLayer extends Copied {
  readonly id: string;
  readonly file: ContainerFile;
  /** What there is below it, the uppermost first. */
  readonly below: readonly SnapshotLayer[];
}

export interface SnapshotRequest {
  readonly container: string;
  /** Of the snapshot, whose directory is not there yet. */
  readonly id: string;
  readonly below: readonly SnapshotLayer[];
  readonly signal?: AbortSignal | undefined;
}

const directoryOf = (host: Host, id: string): string => `${host.environment.dataDirectory}/containers/${id}`;

/** What the directory of a container says of itself; it must be there, and be made of an image. */
export async function containerFile(host: Host, container: string): Promise<ContainerFile> {
  const file = await readContainerFile(directoryOf(host, container));
  if (file !== undefined) return file;
  throw new RuntsError('ERR_NOT_FOUND', `there is no root file system of the container ${container} any more`);
}

/** Copies what a container has of its own. Like a container's, its directory names the layers that it needs. */
export async function writeSnapshot(host: Host, request: SnapshotRequest): Promise<SnapshotLayer> {
  const { container, id, below, signal } = request;
  const [from, to] = [directoryOf(host, container), directoryOf(host, id)];
  const file = await containerFile(host, container);
  await mkdir(to, { mode: 0o700 });
  // From here on the layers are in use; and who looks for containers of an image finds it, too.
  await copyFile(`${from}/${containerFileName}`, `${to}/${containerFileName}`);
  const tree = ownTree(id, file.driver);
  await mkdir(`${host.environment.dataDirectory}/${tree}`, { mode: 0o755 });
  if (file.driver === 'copy') {
    await copyFile(`${from}/${copyBaseName}`, `${to}/${copyBaseName}`);
    await copyDevices(from, to);
  }
  const own = { from: ownTree(container, file.driver), to: tree, maps: file.maps };
  const { size, opaque } = await copyWhole(host, { ...own, signal });
  return { id, file, below, size, opaque };
}

/** Devices that a copy of an image could not be given, it has beside it. */
async function copyDevices(from: string, to: string): Promise<void> {
  const devices = await readFile(`${from}/${copyDevicesName}`).catch(() => undefined);
  if (devices !== undefined) await writeFile(`${to}/${copyDevicesName}`, devices, { flag: 'wx', mode: 0o600 });
}

/** Makes the root file system of a container from a snapshot. */
export function makeSnapshotRoot(
  place: Omit<RootPlace, 'cancel'>,
  layer: SnapshotLayer,
  signal?: AbortSignal,
): Promise<ImageRoot> {
  refuseStrangers(place, layer);
  return limited(place, () => build(place, layer, signal));
}

async function build(
  place: Omit<RootPlace, 'cancel'>,
  layer: SnapshotLayer,
  signal: AbortSignal | undefined,
): Promise<ImageRoot> {
  const { host, id } = place;
  const { image, driver, layers, maps } = layer.file;
  const all = [layer, ...layer.below];
  const ids = all.map((each) => each.id).reverse();
  const note: ContainerFile = { ...place.note, image, driver, layers, snapshots: ids, maps };
  const directory = directoryOf(host, id);
  // What the snapshot needs is in use as long as it is there: nothing has to be kept from being collected meanwhile.
  await (await writeContainerFile(directory, note, place.reserved))();
  if (driver !== 'copy') {
    const lowers = [...layers.map((name) => `${name}/diff`), ...ids.map((each) => `../${ownTree(each, driver)}`)];
    return stand(place, driver, { lowers, view: viewOf(host, all, layers) });
  }
  const path = `${directory}/rootfs`;
  await mkdir(path, { mode: 0o755 });
  await copyWhole(host, { from: ownTree(layer.id, driver), to: ownTree(id, driver), maps, signal });
  const from = directoryOf(host, layer.id);
  await copyDevices(from, directory);
  await noteCopy(place, maps, await copyBaseOwners(`${from}/${copyBaseName}`));
  return { path, read: (file, bytesMax) => host.files.readBelow(path, file, bytesMax) };
}

async function viewOf(host: Host, snapshots: readonly SnapshotLayer[], names: readonly string[]): Promise<LayerView> {
  const data = host.environment.dataDirectory;
  const above = snapshots.map(({ id, file, opaque }) => ({ diff: `${data}/${ownTree(id, file.driver)}`, opaque }));
  const layers = names.map(async (name): Promise<ViewedLayer> => {
    const file = await readLayerFile(`${data}/layers/${name}`);
    return { diff: `${data}/layers/${name}/diff`, opaque: new Set(file?.opaque) };
  });
  return new LayerView([...above, ...(await Promise.all(layers)).reverse()]);
}

/** Its files belong to certain ids, and are put together in one way: a container with others cannot have them. */
function refuseStrangers(
  { facts, maps, mappable, servable }: Omit<RootPlace, 'cancel'>,
  { file }: SnapshotLayer,
): void {
  const stored = facts.privileged ? undefined : maps;
  const why =
    JSON.stringify(stored) !== JSON.stringify(file.maps)
      ? 'its files belong to other ids than the container has'
      : file.driver !== 'copy' && !mappable
        ? 'the user namespace of the container is somebody else’s'
        : file.driver === 'fuse-overlayfs' && servable === false
          ? 'its files are served by a program, which the container could take over'
          : undefined;
  if (why === undefined) return;
  throw new RuntsError('ERR_UNSUPPORTED', `cannot make a container from a snapshot: ${why}`, {
    origin: '/from',
    hint: 'Give it the user namespace and pid namespace that the container of the snapshot had.',
  });
}
