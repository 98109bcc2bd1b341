import { rename, writeFile } from 'node:fs/promises';
import { RuntsError } from '../errors.ts';
import type { Reserved } from '../host/image.ts';
import type { Maps } from '../plan/plan.ts';
import type { GraphDriver } from './drivers.ts';
import { recordOf } from './record-checks.ts';
import { readRecordText } from './record-file.ts';
import type { UnmadeDevice } from './unmade.ts';

/** What the directory of a container `<data>/containers/<id>` says of itself, in `container.json`. */
export interface ContainerFile {
  /** Digest of the image's manifest. */
  readonly image: string;
  readonly driver: GraphDriver;
  /** Names of the layers in use, the lowest first; none with the driver `copy`. */
  readonly layers: readonly string[];
  /** Ids of the snapshots above them, the lowest first: their directories are beside this one. */
  readonly snapshots?: readonly string[] | undefined;
  /** Of the user namespace whose ids own what is in it; without, they are the host's. */
  readonly maps?: Maps | undefined;
}

/** Where the files are that a container, or a snapshot, has of its own; relative to the directory of all data. */
export const ownTree = (id: string, driver: GraphDriver): string =>
  `containers/${id}/${driver === 'copy' ? 'rootfs' : 'upper'}`;

export const containerFileName = 'container.json';

/** What `copy` compares a container with (lib/layers/copy-base.ts). */
export const copyBaseName = 'base';

/** Of a copy, the devices that could not be made in it. */
export const copyDevicesName = 'devices.json';

export async function writeCopyDevices(directory: string, devices: readonly UnmadeDevice[]): Promise<void> {
  const options = { flag: 'wx', mode: 0o600 } as const;
  if (devices.length > 0) await writeFile(`${directory}/${copyDevicesName}`, JSON.stringify(devices), options);
}

export async function readCopyDevices(directory: string): Promise<readonly UnmadeDevice[]> {
  return ((await readRecord('devices', `${directory}/${copyDevicesName}`)) ?? []) as readonly UnmadeDevice[];
}

/**
 * Writes it for a container, and gives what puts it in its place: with the directory itself where that was made ahead. Whole
 * or not at all: a note that was cut short would hold up every collection of layers.
 */
export async function writeContainerFile(
  place: string,
  file: ContainerFile,
  reserved?: Reserved,
): Promise<() => Promise<void>> {
  const text = JSON.stringify(file);
  const path = `${place}/${containerFileName}`;
  if (reserved === undefined) {
    await writeFile(`${path}.new`, text, { flag: 'wx', mode: 0o600 });
    return () => rename(`${path}.new`, path);
  }
  await reserved.note.write(text);
  return async () => {
    await rename(reserved.path, place);
    reserved.note.close();
  };
}

/** Undefined where there is no such container, or it is not of an image. */
export async function readContainerFile(directory: string): Promise<ContainerFile | undefined> {
  return (await readRecord('container', `${directory}/${containerFileName}`)) as ContainerFile | undefined;
}

/** Undefined where there is none. */
async function readRecord(kind: 'container' | 'devices', path: string): Promise<unknown> {
  const text = await readRecordText(path);
  const found = recordOf(kind, text);
  if (found !== undefined || text === undefined) return found;
  throw new RuntsError('ERR_STATE', `cannot read what is noted of a container: ${path} is damaged`, {
    hint: 'Remove the container. Where nothing of it runs any more, its directory can be removed as well.',
  });
}
