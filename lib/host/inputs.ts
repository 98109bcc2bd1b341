import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { helperForMounts } from '../plan/helper.ts';
import { type Input, type Plan, tags } from '../plan/plan.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import type { Handle, Host } from './host.ts';
import { closeHandles, runProgram } from './program.ts';
import type { Undo } from './undo.ts';

type MountInput = Extract<Input, { kind: 'mount' }>;

/** Descriptors 0, 1 and 2 of the command; they stay the caller's to close. */
export type Stdio = readonly [stdin: Handle, stdout: Handle, stderr: Handle];

export interface InputSources {
  readonly stdio?: Stdio | undefined;
  /** The new init: mounts are mapped through its user namespace. */
  readonly pid: number;
  readonly facts?: Facts | undefined;
  /** The socket at which the container waits to be started; it stays the caller's to close. */
  readonly listener?: Handle | undefined;
}

/** Opens what the init receives, in the order of the segment's inputs. What is opened here is released by `undo`. */
export async function openInputs(
  host: Host,
  plan: Plan,
  sources: InputSources,
  patience: Patience,
  undo: Undo,
): Promise<Handle[]> {
  const ports = bounded(host, patience);
  const opened = new Map<string, Handle>();
  const mounts: MountInput[] = [];
  for (const input of plan.inputs) {
    if (input.kind === 'mount') mounts.push(input);
    else if (input.kind === 'stdio') opened.set(input.register, stream(sources.stdio, input.stream));
    else if (input.kind === 'listener') opened.set(input.register, listener(sources));
    else if (input.kind === 'inherited') opened.set(input.register, inherited(host, input.fd, input.origin, undo));
    else opened.set(input.register, await openNamespace(ports, input.path, input.origin, undo));
  }
  if (mounts.length > 0) await cloneMounts(host, mounts, sources, patience, opened, undo);
  return plan.segment.inputs.map((register) => {
    const handle = opened.get(register);
    if (handle === undefined) throw new RuntsError('ERR_INTERNAL', `the plan says nothing about its input ${register}`);
    return handle;
  });
}

function stream(stdio: Stdio | undefined, number: 0 | 1 | 2): Handle {
  if (stdio === undefined)
    throw new RuntsError('ERR_INTERNAL', `the plan wants descriptor ${number}, and none is given`);
  return stdio[number];
}

function listener({ listener }: InputSources): Handle {
  if (listener === undefined)
    throw new RuntsError('ERR_INTERNAL', 'the plan wants a socket to wait at, and none is given');
  return listener;
}

function inherited(host: Host, fd: number, origin: string, undo: Undo): Handle {
  const handle = host.processes.inherited(fd);
  if (handle === undefined) {
    throw new RuntsError('ERR_SPEC', `descriptor ${fd} is to be passed on, and it is not open`, { origin });
  }
  undo.add(() => handle.close());
  return handle;
}

async function openNamespace(ports: Host, path: string, origin: string, undo: Undo): Promise<Handle> {
  try {
    const handle = await ports.files.open(path, 'read');
    undo.add(() => handle.close());
    return handle;
  } catch (error) {
    throw refused(error, { at: 'input', doing: `open the namespace ${path}`, origin });
  }
}

/** A helper with the host's rights clones the mounts, since the init of a user namespace may not. */
async function cloneMounts(
  host: Host,
  mounts: readonly MountInput[],
  { pid, facts }: InputSources,
  patience: Patience,
  opened: Map<string, Handle>,
  undo: Undo,
): Promise<void> {
  const segment = helperForMounts(mounts);
  const inputs: Handle[] = [];
  if (segment.inputs.length > 0) {
    inputs.push(await openNamespace(bounded(host, patience), `/proc/${pid}/ns/user`, mounts[0]!.origin, undo));
  }
  const handles = await runProgram(host, { segment, inputs, facts }, patience);
  undo.add(() => closeHandles(handles));
  for (const [i, mount] of mounts.entries()) {
    const handle = handles.get(tags.mount + i);
    if (handle === undefined) throw new RuntsError('ERR_INTERNAL', `the helper sent no mount for ${mount.source}`);
    opened.set(mount.register, handle);
  }
}
