import { readdir } from 'node:fs/promises';
import { RuntsError } from '../../errors.ts';
import type { CgroupRecord } from '../../host/cgroups/cgroup.ts';
import { errnoOf } from '../../host/failure.ts';
import type { Handle, Host } from '../../host/host.ts';
import { privateDirectory } from '../../host/image.ts';
import type { Prepared } from '../../host/prepare.ts';
import type { Maps } from '../../plan/plan.ts';
import type { Labels, RestartPolicy } from '../../spec/options.ts';
import { isObject } from '../../spec/shape.ts';
import type { ContainerImage } from '../image.ts';

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
  readonly volumes: readonly { readonly name: string; readonly anonymous: boolean }[];
  /** It has a directory in `containers/`, which the ids of these maps own; `none` where they are the host's. */
  readonly unpacked?: Maps | 'none' | undefined;
  readonly restart: RestartPolicy;
}

/** What does: `state.json`. How it ended is in the file of process 1. */
export interface DetachedState {
  readonly version: 1;
  /** The last one that it had; not of another boot. */
  readonly process?: { readonly pid: number; readonly startTime: string; readonly boot: string } | undefined;
  readonly cgroup?: CgroupRecord | undefined;
  /** Of its user namespace, where it has one. */
  readonly maps?: Maps | undefined;
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
/** Of a container that is being removed: nothing uses anything for it any more. */
const removedName = 'removed.json';
const stateName = 'state.json';
const idPattern = /^[0-9a-f]{64}$/;

/** A change is short; a longer wait means that somebody stopped in the middle. Starting and stopping take their time. */
const turnMs = 60_000;

export const detachedRoot = (host: Host) => `${host.environment.dataDirectory}/detached`;

export function placeOf(host: Host, id: string): Place {
  const directory = `${detachedRoot(host)}/${id}`;
  return { id, directory, record: `${directory}/${recordName}` };
}

export async function makePlace(host: Host, id: string): Promise<Place> {
  await privateDirectory(host, detachedRoot(host), 'a place for containers that stay');
  const place = placeOf(host, id);
  await host.files.makeDirectory(place.directory, 0o700);
  return place;
}

/** All that are there and whole, in the order they were made. One that cannot be read is left out: `remove` takes it. */
export async function listRecords(host: Host): Promise<DetachedRecord[]> {
  const names = await readdir(detachedRoot(host)).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  });
  const ids = names.filter((name) => idPattern.test(name));
  const found = await Promise.all(ids.map((id) => readRecord(host, placeOf(host, id)).catch(() => undefined)));
  const records = found.filter((record) => record !== undefined);
  return records.sort((a, b) => (a.created < b.created ? -1 : a.created > b.created ? 1 : a.id < b.id ? -1 : 1));
}

/** Undefined where there is none. */
export async function readRecord(host: Host, place: Place): Promise<DetachedRecord | undefined> {
  const value = await readJson(host, place.record);
  if (value === undefined) return undefined;
  const { version, id, name, request } = value as Partial<DetachedRecord>;
  if (version !== 1) throw unreadable(place.record, `its version is ${String(version)}, and we know 1`);
  if (id !== place.id || typeof name !== 'string' || !isObject(request))
    throw unreadable(place.record, 'it is not whole');
  return value as DetachedRecord;
}

export const writeRecord = (host: Host, place: Place, record: DetachedRecord): Promise<void> =>
  host.files.replace(place.record, JSON.stringify(record));

const fresh: DetachedState = { version: 1, wanted: false, restarts: 0 };

export async function readState(host: Host, place: Place): Promise<DetachedState> {
  const path = `${place.directory}/${stateName}`;
  const value = await readJson(host, path);
  if (value === undefined) return fresh;
  const { version, wanted, restarts } = value as Partial<DetachedState>;
  if (version !== 1 || typeof wanted !== 'boolean' || typeof restarts !== 'number')
    throw unreadable(path, 'it is not whole');
  return value as DetachedState;
}

export const writeState = (host: Host, place: Place, state: DetachedState): Promise<void> =>
  host.files.replace(`${place.directory}/${stateName}`, JSON.stringify(state));

/** A text file of ours, which the port bounds at 16 MiB. */
async function readJson(host: Host, path: string): Promise<object | undefined> {
  const text = await host.files.read(path).catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (isObject(value)) return value;
  } catch (error) {
    throw unreadable(path, String(error));
  }
  throw unreadable(path, 'it is no object');
}

const unreadable = (path: string, why: string) =>
  new RuntsError('ERR_STATE', `cannot read ${path}: ${why}`, {
    hint: 'It was written by another version, or by another program. Removing its directory forgets the container.',
  });

/** One at a time over all processes: a change of one container, or with `undefined` of which there are. */
export async function inTurn<T>(host: Host, place: Place | undefined, work: () => Promise<T>): Promise<T> {
  const path = place === undefined ? `${detachedRoot(host)}/.lock` : `${place.directory}/lock`;
  const lock = await untilFree(host, path, place);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function untilFree(host: Host, path: string, place: Place | undefined): Promise<Handle> {
  const { clock, files } = host;
  const began = clock.now();
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
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

/** From now on it is no container any more: what it uses is free, and the rest of it is to be removed. */
export async function markRemoved(host: Host, place: Place, record: DetachedRecord): Promise<void> {
  await host.files.replace(`${place.directory}/${removedName}`, JSON.stringify(record));
  await host.files.removeFile(place.record);
}
