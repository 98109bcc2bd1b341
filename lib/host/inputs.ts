import { RuntsError } from '../errors.ts';
import type { Facts } from '../plan/facts.ts';
import { helperForMounts } from '../plan/helper.ts';
import { type FuseInput, type Input, type Maps, type Plan, type Segment, tags, type ViewInput } from '../plan/plan.ts';
import { namespaceFlags } from '../spec/names.ts';
import { bounded, type Patience } from './bounded.ts';
import { refused } from './failure.ts';
import { serveLayers } from './fuse.ts';
import type { Handle, Host } from './host.ts';
import { writeMaps } from './maps.ts';
import { closeHandles, runProgram } from './program.ts';
import { endSession } from './session.ts';
import { Undo, withReleaseErrors } from './undo.ts';
import { serveView } from './view.ts';

type MountInput = Extract<Input, { kind: 'mount' }>;

/** Descriptors 0, 1 and 2 of the command; they stay the caller's to close. */
export type Stdio = readonly [stdin: Handle, stdout: Handle, stderr: Handle];

/** What a process 1 that outlives us is to hold; it stays the caller's to close. */
export interface Outliving {
  readonly stdout: Handle;
  readonly stderr: Handle;
  readonly exit: Handle;
  readonly segments: readonly Handle[];
}

export interface InputSources {
  readonly stdio?: Stdio | undefined;
  readonly outliving?: Outliving | undefined;
  /** The new init: mounts are mapped through its user namespace. */
  readonly pid: number;
  readonly facts?: Facts | undefined;
  /** A mount namespace with nothing in it; it stays the caller's to close. */
  readonly emptyMounts?: Handle | undefined;
  /** The first process of the container that is joined; it stays the caller's to close. */
  readonly process?: Handle | undefined;
  /** The socket at which the container waits to be started; it stays the caller's to close. */
  readonly listener?: Handle | undefined;
  /** The directory of the container's cgroup. */
  readonly cgroup?: string | undefined;
  /** Ends the programs that serve mounts, once the container has ended. */
  readonly servers?: Undo | undefined;
  /** Lets go of those that outlive us. */
  readonly leaving?: Undo | undefined;
}

/** Whether the caller has all that the init receives. */
export const areGiven = (inputs: Plan['inputs']): boolean =>
  inputs.every(({ kind }) => kind === 'stdio' || kind === 'process' || kind === 'empty_mounts');

/** One that the caller has: a standard stream, the container's first process, or a mount namespace with nothing in it. */
export type Given = 0 | 1 | 2 | 'process' | 'empty_mounts';

/** What the init receives, where the caller has all of it: which of these, in their order. */
export function givenOrder({ inputs, segment }: Plan): Given[] | undefined {
  const given = new Map<string, Given>();
  for (const input of inputs) {
    if (input.kind === 'stdio') given.set(input.register, input.stream);
    else if (input.kind === 'process' || input.kind === 'empty_mounts') given.set(input.register, input.kind);
    else return undefined;
  }
  return inOrder(segment, given);
}

/** The handles of these. */
export const givenInputs = (order: readonly Given[], sources: GivenSources): Handle[] =>
  order.map((each) => {
    if (each === 'process') return first(sources);
    return each === 'empty_mounts' ? emptyMounts(sources) : stream(sources.stdio, each);
  });

export type GivenSources = Pick<InputSources, 'stdio' | 'process' | 'emptyMounts'>;

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
    else if (input.kind === 'fuse') mounts.push(...served(input));
    else if (input.kind === 'view') continue;
    else if (input.kind === 'stdio') opened.set(input.register, stream(sources.stdio, input.stream));
    else if (input.kind === 'outlive') opened.set(input.register, outliving(sources, input.part));
    else if (input.kind === 'process') opened.set(input.register, first(sources));
    else if (input.kind === 'empty_mounts') opened.set(input.register, emptyMounts(sources));
    else if (input.kind === 'listener') opened.set(input.register, listener(sources));
    else if (input.kind === 'inherited') opened.set(input.register, inherited(host, input.fd, input.origin, undo));
    else opened.set(input.register, await openNamespace(ports, input.path, input.origin, undo));
  }
  if (mounts.length > 0) await cloneMounts(host, mounts, sources, patience, opened, undo);
  for (const input of plan.inputs) {
    if (input.kind !== 'fuse' && input.kind !== 'view') continue;
    opened.set(input.register, await serverOf(host, input, sources, patience, opened, undo));
  }
  return inOrder(plan.segment, opened);
}

function inOrder<T>({ inputs }: Segment, byRegister: ReadonlyMap<string, T>): T[] {
  return inputs.map((register) => {
    const found = byRegister.get(register);
    if (found === undefined) throw new RuntsError('ERR_INTERNAL', `the plan says nothing about its input ${register}`);
    return found;
  });
}

/** What has to be cloned of the host for a server. */
function served({ register, shared, layers, origin }: FuseInput): MountInput[] {
  if (!shared) return [];
  const source = layers.data;
  return [{ kind: 'mount', register: layersOf(register), source, recursive: false, idmap: true, origin }];
}

const layersOf = (register: string) => `${register} layers`;

async function serverOf(
  host: Host,
  input: FuseInput | ViewInput,
  { pid, facts, servers, leaving, cgroup, outliving: outlives }: InputSources,
  patience: Patience,
  opened: ReadonlyMap<string, Handle>,
  undo: Undo,
): Promise<Handle> {
  if (servers === undefined || facts === undefined) {
    throw new RuntsError('ERR_INTERNAL', 'a container whose files are served, and nobody to end the server');
  }
  const path = `/proc/${pid}/ns/user`;
  const user = input.mapped ? await openNamespace(bounded(host, patience), path, input.origin, undo) : undefined;
  const layers = opened.get(layersOf(input.register));
  const undoing = { servers, leaving };
  const mount =
    input.kind === 'view'
      ? await serveView(host, { pid, user, cgroup, facts, outlives: outlives !== undefined }, patience, undoing)
      : await serveLayers(host, { input, user, layers, facts }, patience, servers);
  undo.add(() => mount.close());
  return mount;
}

function stream(stdio: Stdio | undefined, number: 0 | 1 | 2): Handle {
  if (stdio === undefined)
    throw new RuntsError('ERR_INTERNAL', `the plan wants descriptor ${number}, and none is given`);
  return stdio[number];
}

function outliving({ outliving }: InputSources, part: 'stdout' | 'stderr' | 'exit' | number): Handle {
  const found = typeof part === 'number' ? outliving?.segments[part] : outliving?.[part];
  if (found === undefined) throw new RuntsError('ERR_INTERNAL', `the plan wants ${part} to be kept, and none is given`);
  return found;
}

function first({ process }: GivenSources): Handle {
  if (process === undefined)
    throw new RuntsError('ERR_INTERNAL', 'the plan wants a process to join, and none is given');
  return process;
}

function emptyMounts({ emptyMounts }: GivenSources): Handle {
  if (emptyMounts === undefined)
    throw new RuntsError('ERR_INTERNAL', 'the plan wants a mount namespace with nothing in it, and none is given');
  return emptyMounts;
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
  const { segment, users } = helperForMounts(mounts);
  const ports = bounded(host, patience);
  const inputs: Handle[] = [];
  for (const user of users) {
    const { origin } = mounts[0]!;
    if (user === 'container') inputs.push(await openNamespace(ports, `/proc/${pid}/ns/user`, origin, undo));
    else inputs.push(await userNamespace(host, user, ownersOrigin(mounts, user), patience, undo));
  }
  const handles = await runProgram(host, { segment, inputs, facts }, patience);
  undo.add(() => closeHandles(handles));
  for (const [i, mount] of mounts.entries()) {
    const handle = handles.get(tags.mount + i);
    if (handle === undefined) throw new RuntsError('ERR_INTERNAL', `the helper sent no mount for ${mount.source}`);
    opened.set(mount.register, handle);
  }
}

type IdMaps = Pick<Maps, 'uids' | 'gids'>;

const ownersOrigin = (mounts: readonly MountInput[], { uids }: IdMaps) =>
  mounts.find(({ owners }) => owners?.uids === uids)?.origin ?? mounts[0]!.origin;

/** A user namespace with these maps, of nobody's: the process in it ends at once, and our handle keeps it. */
async function userNamespace(
  host: Host,
  { uids, gids }: IdMaps,
  origin: string,
  patience: Patience,
  undo: Undo,
): Promise<Handle> {
  const ports = bounded(host, patience);
  const holder = new Undo();
  try {
    const session = await ports.processes.spawn({ flags: namespaceFlags.user }).catch((error: unknown) => {
      throw refused(error, { at: 'spawn', doing: 'make a user namespace for the owners of a mount', origin });
    });
    holder.add(() => endSession(host, session, patience.deadlineMs));
    await writeMaps(ports, session.pid, { uids, gids, setgroups: 'allow', by: 'write', origin });
    const handle = await openNamespace(ports, `/proc/${session.pid}/ns/user`, origin, undo);
    const errors = await holder.run();
    if (errors.length > 0) throw withReleaseErrors(errors[0], errors.slice(1));
    return handle;
  } catch (error) {
    throw withReleaseErrors(error, await holder.run());
  }
}
