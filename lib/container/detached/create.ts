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
  inTurn,
  listRecords,
  makePlace,
  markParts,
  markWhole,
  type Place,
  writeRecord,
} from './record.ts';
import { removeFiles } from './remove.ts';
import { sweepDetached } from './sweep.ts';

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
  await sweepDetached(home);
  // Told before anything is unpacked; that nobody takes it meanwhile is seen at the end.
  await mustBeFree(home, name, { parts: true });
  const undo = new Undo();
  try {
    const { place, lock } = await makePlace(host, id);
    undo.add(() => lock.close());
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
      volumes: prepared.volumes.map(({ name: volume, anonymous }) => ({
        ...{ name: volume, anonymous },
        mounted: prepared.mounted[volume],
      })),
      unpacked: prepared.image && (ownerMaps(options.userns, facts) ?? 'none'),
      restart: restartPolicy(options.restart),
      ...(prepared.ownTime && { ownTime: true }),
    };
    await markParts(host, place, record);
    await inTurn(host, undefined, async () => {
      await mustBeFree(home, name, { parts: true });
      await writeRecord(host, place, record);
    });
    // Killed from here on, or failing, we leave what the next one finds to be parts, and removes.
    undo.dismiss();
    try {
      await prepared.settle();
      await markWhole(host, place);
    } finally {
      lock.close();
    }
    return { place, record };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Refuses a name that a detached container has; with `parts` also of one that is being made. */
export async function mustBeFree(home: Home, name: string, which: { readonly parts: boolean }): Promise<void> {
  const taken = (await listRecords(home.host, which)).find((record) => record.name === name || record.id === name);
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
