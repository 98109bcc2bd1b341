import { type Prepared, prepare } from '../host/prepare.ts';
import { Undo, withReleaseErrors } from '../host/undo.ts';
import type { ContainerOptions } from '../spec/options.ts';
import type { Begun } from './begun.ts';
import type { Home } from './home.ts';
import { OwnRun } from './own-run.ts';

/** What there is of a container on the host, before anybody has it. */
export interface Made {
  readonly id: string;
  readonly prepared: Prepared;
  /** The first. */
  readonly run: OwnRun;
  /** Ends and releases all of it. */
  readonly undo: Undo;
  readonly end: End;
}

/** How it ends; for whoever has it to say. */
export interface End {
  /** What there is to be ended: the run, or the course that it has become a part of. */
  of: { end(): Promise<void> } | undefined;
  keepsVolumes: boolean;
}

export interface MakeOptions {
  /** With a cgroup where there can be one, also where nothing is limited. */
  readonly counted?: boolean | undefined;
  /** It is started right afterwards, and need not wait for that. */
  readonly ahead?: boolean | undefined;
  /** Nobody waits for it yet: as much as can be is done before its start. */
  readonly late?: boolean | undefined;
  /** The init that does all that already. */
  readonly init?: Begun | undefined;
  /** Hears of it before anything is made. */
  readonly begun?: ((id: string) => void) | undefined;
  /** Hears of what it is to be, before there is a process; may refuse. */
  readonly foreseen?: ((prepared: Prepared, id: string) => Promise<void>) | undefined;
}

/** Makes what options ask for, up to where it waits to be started: everything that can be wrong with it is found here. */
export async function make(
  home: Home,
  options: ContainerOptions,
  { counted = true, ahead = false, late, init, begun, foreseen }: MakeOptions,
): Promise<Made> {
  const undo = new Undo();
  const cancel = options.signal as AbortSignal | undefined;
  try {
    const { host, images, snapshots, volumes } = home;
    if (init !== undefined) undo.add(() => init.leave(host));
    const facts = await home.facts();
    const reserved = mayBeReserved(options) ? await home.reserve.take() : undefined;
    if (reserved !== undefined) undo.add(() => reserved.kept.release().finally(() => reserved.note.close()));
    const id = init?.id ?? reserved?.id ?? home.newId();
    begun?.(id);
    const ports = { images, snapshots, volumes };
    const ownStdio = hasOwnStdio(options);
    // One that is made ahead is compared with what would be made without them.
    const emptyMounts = late === true ? undefined : home.emptyMounts;
    const request = { ...ports, options, id, reserved, ownStdio, counted, late, emptyMounts, cancel };
    const prepared = await prepare(host, facts, request);
    const end: End = { of: undefined, keepsVolumes: false };
    undo.add(() => prepared.release({ keepVolumes: end.keepsVolumes }));
    await foreseen?.(prepared, id);
    const run = await OwnRun.make({ id, home, options, prepared, plan: prepared.plan, cancel, ahead, init });
    end.of = run;
    undo.add(() => end.of?.end());
    return { id, prepared, run, undo, end };
  } catch (error) {
    throw withReleaseErrors(error, await undo.run());
  }
}

/** Pipes are ours to give to the container's user; what the caller brought is not. */
export const hasOwnStdio = ({ stdout = 'pipe', stderr = 'pipe' }: ContainerOptions): boolean =>
  [stdout, stderr].every((target) => target === 'pipe');

/** Of the ids that containers usually have, and not limited: a limit is for what is made in a directory from then on. */
export const mayBeReserved = ({ image, from, userns, storage }: Partial<ContainerOptions>): boolean =>
  (image ?? from) !== undefined && userns === undefined && storage === undefined;
