import { constants } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { openCgroup } from '../../host/cgroups/open.ts';
import { type Created, createContainer } from '../../host/create.ts';
import type { Handle } from '../../host/host.ts';
import type { Outliving } from '../../host/inputs.ts';
import { planAgain } from '../../host/plan-again.ts';
import { start } from '../../host/start.ts';
import { Undo, withReleaseErrors } from '../../host/undo.ts';
import type { MountedVolume } from '../../host/volumes.ts';
import { openFile } from '../../node/handle.ts';
import { openForOthers } from '../../node/stdio.ts';
import type { Home } from '../home.ts';
import { pipeOwner } from '../owner.ts';
import { identified } from './living.ts';
import { orderOf, segmentPath } from './log.ts';
import { type DetachedRecord, type DetachedState, type Place, writeState } from './record.ts';

export interface Starting {
  readonly home: Home;
  readonly place: Place;
  readonly record: DetachedRecord;
  /** As it was before: it does not run. */
  readonly state: DetachedState;
  /** By its policy, and by nobody. */
  readonly again?: boolean | undefined;
  readonly cancel?: AbortSignal | undefined;
}

/** Makes the processes of a container from what is on record, and lets go of them. With the lock of the container. */
export async function startDetached(starting: Starting): Promise<DetachedState> {
  const { home, place, record, state, again, cancel } = starting;
  const { host } = home;
  const facts = await home.facts();
  const { request } = record;
  const mounted = await mountedVolumes(starting);
  const plan = await planAgain(host, facts, withVolumes(record, mounted));
  if (state.cgroup !== undefined) await openCgroup(host, state.cgroup).remove();
  const undo = new Undo();
  let created: Created | undefined;
  try {
    const owner = pipeOwner(plan, request.spec.process!.user, facts.privileged);
    const stdio = openForOthers(owner);
    undo.add(() => stdio.close());
    const files = await openFiles(place, request.outlive?.segments ?? 1, undo);
    const outliving = { ...files, stdout: stdio.stdout, stderr: stdio.stderr };
    created = await createContainer(host, plan, { stdio: stdio.handles, outliving, facts, signal: cancel });
    // Before it runs: whatever becomes of us, it is found.
    const next: DetachedState = {
      version: 1,
      process: await identified(host, created.session.pid),
      cgroup: created.cgroup?.record,
      maps: plan.maps,
      mounted,
      wanted: true,
      restarts: again === true ? state.restarts + 1 : 0,
    };
    await writeState(host, place, next);
    await start(created, { signal: cancel });
    await created.letGo();
    await undo.run();
    return next;
  } catch (error) {
    const errors = [...((await created?.undo.run()) ?? []), ...(await undo.run())];
    // It has not run: what was known before of an earlier run is gone with its exit file.
    await writeState(host, place, { version: 1, mounted, wanted: false, restarts: 0 }).catch((e: unknown) =>
      errors.push(e),
    );
    throw withReleaseErrors(error, errors);
  }
}

/** Where drivers have its volumes now: they mount what they have not any more. */
async function mountedVolumes({ home, place, record, state }: Starting): Promise<DetachedState['mounted']> {
  const made = record.volumes.flatMap(({ name, mounted }) => (mounted === undefined ? [] : [[name, mounted] as const]));
  if (made.length === 0) return undefined;
  const before = { ...Object.fromEntries(made), ...state.mounted };
  const request = { container: record.name, record: place.record, mounted: before };
  return { ...state.mounted, ...(await home.volumes.mountAgain(request)) };
}

/** A driver may have it somewhere else now than what is on record says. */
function withVolumes(record: DetachedRecord, mounted: DetachedState['mounted'] = {}): DetachedRecord {
  const { request, volumes } = record;
  const places = new Map<string, string>();
  for (const { name, mounted: made } of volumes) {
    const now: MountedVolume | undefined = mounted[name];
    if (made !== undefined && now !== undefined) places.set(made.path, now.path);
  }
  const mounts = request.spec.mounts?.map((mount) => {
    const source = mount.type === 'bind' && mount.source !== undefined ? places.get(mount.source) : undefined;
    return source === undefined ? mount : { ...mount, source };
  });
  return { ...record, request: { ...request, spec: { ...request.spec, mounts } } };
}

const appended = constants.O_WRONLY | constants.O_APPEND | constants.O_NOFOLLOW;

/** What process 1 writes to. The newest segment comes first: it goes on there. */
async function openFiles(place: Place, count: number, undo: Undo): Promise<Pick<Outliving, 'exit' | 'segments'>> {
  const opened = async (path: string, flags: number): Promise<Handle> => {
    const handle = await openFile(path, flags);
    undo.add(() => handle.close());
    return handle;
  };
  const exit = `${place.directory}/exit`;
  await writeBlank(exit);
  const newest = (await orderOf(place, count)).pop() ?? 0;
  const segments: Handle[] = [];
  for (let i = 0; i < count; i++) {
    segments.push(await opened(segmentPath(place, (newest + i) % count), appended | constants.O_CREAT));
  }
  return { exit: await opened(exit, constants.O_WRONLY | constants.O_NOFOLLOW), segments };
}

/** Its first page is there before it is needed, when the disk may be full. */
async function writeBlank(path: string): Promise<void> {
  await truncate(path, 0).catch(() => undefined);
  await writeFile(path, ' '.repeat(96), { mode: 0o600 });
}
