import { readdir } from 'node:fs/promises';
import { RuntsError } from '../../errors.ts';
import { throwIfCanceled } from '../../host/cancel.ts';
import type { CgroupRecord } from '../../host/cgroups/cgroup.ts';
import { errnoOf } from '../../host/failure.ts';
import type { Handle, Host } from '../../host/host.ts';
import { privateDirectory } from '../../host/image.ts';
import type { Prepared } from '../../host/prepare.ts';
import type { MountedVolume } from '../../host/volumes.ts';
import type { Maps } from '../../plan/plan.ts';
import type { Labels, RestartPolicy } from '../../spec/options.ts';
import { isObject, issuesOf, show } from '../../spec/shape.ts';
import type { ContainerImage } from '../image.ts';
import { recordShapes } from './record-checks.ts';

/** What does not change while a container is there: `container.json`. */
export interface DetachedRecord {
  readonly version: 1;
  readonly id: string;
  readonly name: string;
  /** ISO 8601. */
  readonly created: string;
  readonly request: Prepared['request'];
  readonly command: readonly string[];
  readonly stopSignal: number;
  readonly labels: Labels;
  readonly image?: ContainerImage | undefined;
  readonly volumes: readonly {
    readonly name: string;
    readonly anonymous: boolean;
    /** As it was made, where that was by a driver. */
    readonly mounted?: MountedVolume | undefined;
  }[];
  /** It has a directory in `containers/`, which the ids of these maps own; `none` where they are the host's. */
  readonly unpacked?: Maps | 'none' | undefined;
  readonly restart: RestartPolicy;
  /** Its time since boot begins at each start. */
  readonly ownTime?: boolean | undefined;
}

/** What does: `state.json`. How it ended is in the file of process 1. */
export interface DetachedState {
  readonly version: 1;
  /** The last one that it had; not of another boot. */
  readonly process?: { readonly pid: number; readonly startTime: string; readonly boot: string } | undefined;
  readonly cgroup?: CgroupRecord | undefined;
  /** Of its user namespace, where it has one. */
  readonly maps?: Maps | undefined;
  /** Volumes that drivers have mounted once more since it was made, by name. */
  readonly mounted?: Readonly<Record<string, MountedVolume>> | undefined;
  /** Whether it is to run: it was started, and not stopped by anybody. */
  readonly wanted: boolean;
  /** How often its policy has started it since somebody else did. */
  readonly restarts: number;
}

/** Where a detached container is on disk. */
export interface Place {
  readonly id: string;
  readonly directory: string;
  readonly record: string;
}

const recordName = 'container.json';
/** Of one that is not whole yet, or not any more: what is to be removed where nobody has its lock. */
const partsName = 'removed.json';
const stateName = 'state.json';
const idPattern = /^[0-9a-f]{64}$/;

/** A change is short; a longer wait means that somebody stopped in the middle. Starting and stopping take their time. */
const turnMs = 60_000;

export const detachedRoot = (host: Host) => `${host.environment.dataDirectory}/detached`;

export function placeOf(host: Host, id: string): Place {
  const directory = `${detachedRoot(host)}/${id}`;
  return { id, directory, record: `${directory}/${recordName}` };
}

/** A place for one more, and its lock: nobody else is to take it for what somebody has left. */
export async function makePlace(host: Host, id: string): Promise<{ readonly place: Place; readonly lock: Handle }> {
  await privateDirectory(host, detachedRoot(host), 'a place for containers that stay');
  const place = placeOf(host, id);
  return inTurn(host, undefined, async () => {
    await host.files.makeDirectory(place.directory, 0o700);
    return { place, lock: await host.files.lock(lockOf(place)) };
  });
}

const lockOf = ({ directory }: Place): string => `${directory}/lock`;

export async function listPlaces(host: Host): Promise<Place[]> {
  const names = await readdir(detachedRoot(host)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  return names.filter((name) => idPattern.test(name)).map((id) => placeOf(host, id));
}

/**
 * All that are there, in the order they were made; with `parts` also those that are being made, which have their names. One
 * that cannot be read is left out.
 */
export async function listRecords(host: Host, { parts = false } = {}): Promise<DetachedRecord[]> {
  const places = await listPlaces(host);
  const read = (place: Place) => (parts ? recordIn(host, place, place.record) : readRecord(host, place));
  const found = await Promise.all(places.map((place) => read(place).catch(() => undefined)));
  const records = found.filter((record) => record !== undefined);
  return records.sort((a, b) => (a.created < b.created ? -1 : a.created > b.created ? 1 : a.id < b.id ? -1 : 1));
}

/** Undefined where there is none, or only parts of one. */
export async function readRecord(host: Host, place: Place): Promise<DetachedRecord | undefined> {
  return (await hasParts(host, place)) ? undefined : recordIn(host, place, place.record);
}

/** What is to be removed of one that was half made, or half removed. */
export const readParts = (host: Host, place: Place): Promise<DetachedRecord | undefined> =>
  recordIn(host, place, partsOf(place));

const partsOf = ({ directory }: Place): string => `${directory}/${partsName}`;

const hasParts = async (host: Host, place: Place): Promise<boolean> =>
  (await host.files.kind(partsOf(place))) !== undefined;

async function recordIn(host: Host, place: Place, path: string): Promise<DetachedRecord | undefined> {
  const value = await readJson(host, path, 'container');
  if (value === undefined) return undefined;
  const record = value as DetachedRecord;
  if (record.id !== place.id) throw unreadable(path, 'it is of another container');
  return record;
}

export const writeRecord = (host: Host, place: Place, record: DetachedRecord): Promise<void> =>
  host.files.replace(place.record, JSON.stringify(record));

const fresh: DetachedState = { version: 1, wanted: false, restarts: 0 };

export async function readState(host: Host, place: Place): Promise<DetachedState> {
  const path = `${place.directory}/${stateName}`;
  const value = await readJson(host, path, 'state');
  return value === undefined ? fresh : (value as DetachedState);
}

export const writeState = (host: Host, place: Place, state: DetachedState): Promise<void> =>
  host.files.replace(`${place.directory}/${stateName}`, JSON.stringify(state));

/** A text file of ours, which the port bounds at 16 MiB. */
async function readJson(host: Host, path: string, kind: keyof typeof recordShapes): Promise<object | undefined> {
  const text = await host.files.read(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw unreadable(path, String(error));
  }
  if (isObject(value) && value['version'] !== 1)
    throw unreadable(path, `its version is ${show(value['version'])}, and we know 1`);
  const [issue] = issuesOf(value, recordShapes[kind]);
  if (issue !== undefined) throw unreadable(path, `${issue.path} ${issue.message}`.trim());
  return value as object;
}

const unreadable = (path: string, why: string) =>
  new RuntsError('ERR_STATE', `cannot read ${path}: ${why}`, {
    hint: 'It was written by another version, or by another program. Removing its directory forgets the container.',
  });

/** One at a time over all processes: a change of one container, or with `undefined` of which there are. Not begun after the signal. */
export async function inTurn<T>(
  host: Host,
  place: Place | undefined,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const path = place === undefined ? `${detachedRoot(host)}/.lock` : lockOf(place);
  const lock = await untilFree(host, path, place, signal);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function untilFree(
  host: Host,
  path: string,
  place: Place | undefined,
  signal: AbortSignal | undefined,
): Promise<Handle> {
  const { clock, files } = host;
  const began = clock.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
    throwIfCanceled(signal, 'waiting for a turn');
    try {
      return await files.lock(path);
    } catch (error) {
      const errno = errnoOf(error) ?? '';
      if (errno === 'ENOENT' && place !== undefined) throw noSuch(place.id);
      if (!['EWOULDBLOCK', 'EAGAIN'].includes(errno)) throw error;
      if (clock.now() - began >= turnMs) {
        throw new RuntsError('ERR_TIMEOUT', `${path} was held by another process for ${turnMs} ms`, { cause: error });
      }
    }
    await clock.after(pauseMs).done;
  }
}

export const noSuch = (id: string) =>
  new RuntsError('ERR_NOT_FOUND', `there is no container ${id.slice(0, 12)} any more`, {
    hint: 'Another process has removed it.',
  });

/** From now on it is no container, or not yet: what there is for it goes when nobody has its lock. */
export const markParts = (host: Host, place: Place, record: DetachedRecord): Promise<void> =>
  host.files.replace(partsOf(place), JSON.stringify(record));

/** From now on it is one. */
export const markWhole = (host: Host, place: Place): Promise<void> => host.files.removeFile(partsOf(place));

/** Takes the lock of a container, if nobody has it. */
export async function tryTurn(host: Host, place: Place): Promise<Handle | undefined> {
  try {
    return await host.files.lock(lockOf(place));
  } catch (error) {
    if (['EWOULDBLOCK', 'EAGAIN', 'ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
