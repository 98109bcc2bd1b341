import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import type { Exit, Handle, Session } from '../../lib/host/host.ts';
import { writeMaps } from '../../lib/host/maps.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { closeHandles } from '../../lib/host/program.ts';
import { nextMilestone } from '../../lib/host/progress.ts';
import { Channel } from '../../lib/host/session.ts';
import { Undo } from '../../lib/host/undo.ts';
import { beginWalk, walkTo } from '../../lib/host/walk.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import { type ContainerRequest, planContainer } from '../../lib/plan/container.ts';
import { type ExecRequest, planExec } from '../../lib/plan/exec.ts';
import type { Facts } from '../../lib/plan/facts.ts';
import { type Plan, tags } from '../../lib/plan/plan.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import { type NamespaceType, namespaceFiles, namespaceTypes } from '../../lib/spec/names.ts';
import type { Draft, Process, Spec } from '../../lib/spec/types.ts';
import { host, namespaceOf } from './ops.ts';
import { patienceMs } from './requires.ts';
import { busyboxRoot } from './rootfs.ts';

export type DraftSpec = Draft<Spec> & { process: Draft<Process> };

const patience = { deadlineMs: patienceMs };
let known: Promise<Facts> | undefined;
export const facts = (): Promise<Facts> => (known ??= probeFacts(host));

/** A container that waits at its socket to be started. */
export interface Waiting {
  readonly session: Session;
  readonly plan: Plan;
  /** What its command has written to both of its streams, once it has ended. */
  readonly output: Promise<string>;
  /** Lets it go on, with this as the state for hooks. */
  start(state?: string): Promise<void>;
  /** Runs a command in it. */
  exec(args: readonly string[], edit?: (process: Draft<Process>) => void, options?: Partial<ExecRequest>): Promise<Ran>;
  /** The same on a terminal; what the init sent, by tag. */
  execOnTerminal(
    args: readonly string[],
    options?: Partial<ExecRequest>,
  ): Promise<{ readonly handles: ReadonlyMap<number, Handle>; readonly exit: Exit }>;
}

export interface Ran {
  readonly output: string;
  readonly exit: Exit;
}

/** What the test does at a sync point before the init goes on; a handle goes with the answer. */
export type AtSync = ReadonlyMap<number, (session: Session) => Promise<Handle | undefined>>;

/** A root file system of busybox that goes with the test. */
function rootDirectory(): string {
  const root = busyboxRoot();
  onTestFinished(() => root.remove());
  return root.path;
}

/** Makes a container of Docker's default, edited, up to the point where it waits to be started. */
export async function waiting(
  edit: (spec: DraftSpec) => void,
  options: Partial<ContainerRequest> & { readonly at?: AtSync; readonly cgroup?: string } = {},
): Promise<Waiting> {
  const spec = defaultSpec() as DraftSpec;
  spec.linux.cgroupsPath = '';
  edit(spec);
  const { at, cgroup, ...asked } = options;
  const request: ContainerRequest = {
    id: 'plan-test',
    spec: spec as Spec,
    root: { kind: 'directory', path: rootDirectory() },
    reap: false,
    stdio: 'pipes',
    ownStdio: true,
    oci: true,
    start: 'socket',
    cgroupDriver: 'disabled',
    ...asked,
  };
  const plan = planContainer(request, await facts());
  const directory = mkdtempSync(join(tmpdir(), 'runts-plan-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const socket = join(directory, 'start.sock');
  const listener = await host.sockets.listen(socket);
  const { walk, output } = await walked(plan, tags.created, at ?? new Map(), { listener, cgroup });
  listener.close();
  await walk.channel.go(tags.created);
  const { session } = walk;
  return {
    session,
    plan,
    output,
    start: (state = '{}') => connectAndStart(socket, session, plan, state),
    exec: (args, change = () => {}, other = {}) =>
      execIn(session.pid, spec as Spec, args, change, { id: request.id, ...other }),
    execOnTerminal: (args, other = {}) =>
      execIn(session.pid, spec as Spec, args, () => {}, { id: request.id, ...other, stdio: 'terminal' }),
  };
}

interface Given {
  readonly listener?: Handle | undefined;
  /** Where the init is born. */
  readonly cgroup?: string | undefined;
}

async function walked(plan: Plan, tag: number, at: AtSync, { listener, cgroup }: Given = {}) {
  const undo = new Undo();
  onTestFinished(async () => void (await undo.run()));
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  const output = Promise.all([text(stdio.stdout!), text(stdio.stderr!)]).then((parts) => parts.join(''));
  output.catch(() => undefined);
  const maps = async ({ pid }: Session) => {
    if (plan.maps !== undefined) await writeMaps(host, pid, plan.maps);
    return undefined;
  };
  const handles = new Map<number, Handle>();
  undo.add(() => closeHandles(handles));
  const [stdin, stdout, stderr] = stdio.handles;
  try {
    const sources = { stdio: [stdin, stdout, stderr] as const, listener };
    const options = { ...patience, facts: await facts() };
    const handle = cgroup === undefined ? undefined : await host.files.open(cgroup, 'directory');
    if (handle !== undefined) undo.add(() => handle.close());
    const birthplace = handle && { path: cgroup ?? '', handle };
    const walk = await beginWalk(host, { plan, options, sources, handles, cgroup: birthplace }, undo);
    await walkTo(host, walk, tag, new Map([[tags.maps, maps], ...at]), patience);
    return { walk, output, handles };
  } finally {
    for (const handle of stdio.handles) handle.close();
  }
}

async function connectAndStart(socket: string, session: Session, plan: Plan, state: string): Promise<void> {
  const connected = await host.processes.connect(socket, session.pid, session.process);
  const channel = new Channel(host, connected, patience);
  const progress = { segment: plan.segment, handles: new Map<number, Handle>() };
  const blob = host.kernel.blob(Buffer.from(state));
  try {
    const frame = await nextMilestone(channel, progress);
    if (frame?.kind !== 'sync') throw new Error(`the init said ${JSON.stringify(frame)}`);
    await channel.go(tags.start, blob);
    const next = await nextMilestone(channel, progress);
    if (next !== undefined) throw new Error(`the init said ${JSON.stringify(next)}`);
  } finally {
    blob.close();
    closeHandles(progress.handles);
    connected.close();
  }
}

async function execIn(
  pid: number,
  spec: Spec,
  args: readonly string[],
  change: (process: Draft<Process>) => void,
  other: Partial<ExecRequest>,
): Promise<Ran & { readonly handles: ReadonlyMap<number, Handle> }> {
  const process = { ...structuredClone(spec.process!), args: [...args] } as Draft<Process>;
  change(process);
  const differs = (type: NamespaceType) =>
    namespaceOf(pid, namespaceFiles[type]) !== namespaceOf('self', namespaceFiles[type]);
  const namespaces = new Set(namespaceTypes.filter(differs));
  const request: ExecRequest = {
    id: 'plan-test',
    spec,
    process: process as Process,
    pid,
    namespaces,
    stdio: 'pipes',
    ownStdio: true,
    ...other,
  };
  const plan = planExec(request, await facts());
  const { walk, output, handles } = await walked(plan, tags.start, new Map());
  await walk.channel.go(tags.start);
  const frame = await nextMilestone(walk.channel, walk.progress);
  if (frame !== undefined) throw new Error(`the init said ${JSON.stringify(frame)}`);
  const exit = await walk.session.exit;
  return { output: await output, exit, handles };
}
