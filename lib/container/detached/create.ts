import { writeFile } from 'node:fs/promises';
import { RuntsError } from '../../errors.ts';
import { prepare } from '../../host/prepare.ts';
import { Undo, withReleaseErrors } from '../../host/undo.ts';
import { ownerMaps } from '../../plan/keeper.ts';
import { parseBytes } from '../../spec/bytes.ts';
import { restartPolicy } from '../../spec/detached.ts';
import type { ContainerOptions } from '../../spec/options.ts';
import type { Home } from '../home.ts';
import { containerImage } from '../image.ts';
import { segmentPath } from './log.ts';
import {
  type DetachedRecord,
  detachedRoot,
  inTurn,
  listRecords,
  makePlace,
  type Place,
  writeRecord,
} from './record.ts';

const defaultLog = { segments: 3, bytesMax: 4 * 1024 * 1024 };

/** Makes a container that any process may have, up to its start: what there is for it on disk, and its record at last. */
export async function createDetached(
  home: Home,
  options: ContainerOptions,
): Promise<{ readonly place: Place; readonly record: DetachedRecord }> {
  const { host, images, volumes } = home;
  const facts = await home.facts();
  const id = home.newId();
  const name = options.name ?? id.slice(0, 12);
  // Told before anything is unpacked; that nobody takes it meanwhile is seen at the end.
  await mustBeFree(home, name);
  const undo = new Undo();
  try {
    const place = await makePlace(host, id);
    undo.add(() => removeFiles(home, place));
    const log = {
      segments: options.log?.maxFiles ?? defaultLog.segments,
      bytesMax: parseBytes(options.log?.maxSize) ?? defaultLog.bytesMax,
    };
    const prepared = await prepare(host, facts, {
      options,
      id,
      ownStdio: true,
      counted: true,
      images,
      volumes,
      detached: { record: place.record, log },
      cancel: options.signal as AbortSignal | undefined,
    });
    undo.add(() => prepared.release());
    for (let i = 0; i < log.segments; i++) await writeFile(segmentPath(place, i), '', { mode: 0o600 });
    const record: DetachedRecord = {
      version: 1,
      id,
      name,
      created: new Date().toISOString(),
      request: prepared.request,
      command: prepared.command,
      stopSignal: prepared.stopSignal,
      labels: { ...prepared.image?.config.Labels, ...options.labels },
      image: containerImage(prepared.image),
      volumes: prepared.volumes.map(({ name: volume, anonymous }) => ({ name: volume, anonymous })),
      unpacked: prepared.image && (ownerMaps(options.userns, facts) ?? 'none'),
      restart: restartPolicy(options.restart),
    };
    await inTurn(host, undefined, async () => {
      await mustBeFree(home, name);
      await writeRecord(host, place, record);
    });
    undo.dismiss();
    await prepared.settle();
    return { place, record };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Refuses a name that a detached container has. */
export async function mustBeFree(home: Home, name: string): Promise<void> {
  const taken = (await listRecords(home.host)).find((record) => record.name === name || record.id === name);
  if (taken === undefined) return;
  throw new RuntsError(
    'ERR_EXISTS',
    `cannot make a container named ${name}: container ${taken.id.slice(0, 12)} has the name`,
    {
      origin: '/name',
      hint: 'Remove that one, or take another name.',
    },
  );
}

/** Of a container that has no processes, and nothing outside of its directory. */
export async function removeFiles({ host }: Home, { id, directory }: Place): Promise<void> {
  const names: readonly string[] = await host.files.list(directory).catch(() => []);
  // The lock last: until then nobody else works here.
  for (const name of names) if (name !== 'lock') await host.files.removeFile(`${directory}/${name}`);
  if (names.includes('lock')) await host.files.removeFile(`${directory}/lock`);
  await host.files.removeDirectory(`${detachedRoot(host)}/${id}`);
}
