import { existsSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import type { Exit, Handle, Session } from '../../lib/host/host.ts';
import { openHandle } from '../../lib/node/handle.ts';
import { createHost } from '../../lib/node/host.ts';
import type { NativeHandle } from '../../lib/node/native.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import type { Conditions } from '../../lib/program/builder.ts';
import { encode } from '../../lib/program/encode.ts';
import { errnoName } from '../../lib/program/errno.ts';
import { decodeFrame, type Frame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import type { Op, Operands, OpName } from '../../lib/program/ops.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';

export const host = createHost();

/** CLONE_NEW*. */
export const isolated = namespaceFlags;
/** Root over mounts, for anybody who may make a user namespace. */
export const ownMounts = isolated.user | isolated.mount;

export const attribute = { ro: 1, nosuid: 2, nodev: 4, noexec: 8 } as const;
const slave = 0x80000;

export function op<N extends OpName>(name: N, operands: Operands<N>, conditions: Conditions = {}): Op {
  return { op: name, operands, origin: 'test', ...conditions } as unknown as Op;
}
export const halt = op('halt', {});
export const bytes = (content: string) => Buffer.from(content);

export interface Surroundings {
  readonly flags?: number;
  readonly inputs?: Readonly<Record<string, Handle>>;
  /** What to do while the init waits at a sync point, before it is told to go on. */
  readonly at?: (tag: number, running: Running) => unknown;
  readonly cgroup?: Handle;
  /** What goes with the GO of a tag: op `receive`. */
  readonly gives?: Readonly<Record<number, Handle>>;
}

export interface Running {
  readonly session: Session;
  /** What the init has sent so far, by tag. */
  readonly handles: ReadonlyMap<number, Handle>;
}

export interface Ran {
  /** But for `handle` and `trace`. */
  readonly frames: readonly Frame[];
  readonly handles: ReadonlyMap<number, Handle>;
  /** Paths by which this process reaches what the handles mean, by tag; of those that are still open. */
  readonly paths: ReadonlyMap<number, string>;
  readonly exit: Exit;
}

/** Runs ops in an init of its own to their end. One in a user namespace is root of it, with its mounts cut off from ours. */
export async function run(ops: readonly Op[], surroundings: Surroundings = {}): Promise<Ran> {
  const { flags = 0, inputs = {}, at, cgroup, gives = {} } = surroundings;
  const session = await host.processes.spawn({ flags, cgroup });
  onTestFinished(() => session.close());
  if (flags & isolated.user) await mapRoot(session.pid);
  const before: Op[] = flags & isolated.user ? [op('become_root', {})] : [];
  if (flags & isolated.mount) before.push(op('propagation', { flags: slave }));
  const program = encode({ inputs: Object.keys(inputs), ops: [...before, ...ops] });
  let handed = Object.values(inputs);
  for (const message of segmentMessages(program)) {
    await session.send(message, handed);
    handed = [];
  }
  const frames: Frame[] = [];
  const handles = new Map<number, Handle>();
  for (let message = await session.receive(); message !== undefined; message = await session.receive()) {
    const frame = decodeFrame(message.bytes);
    const [handle] = message.handles;
    if (frame.kind === 'handle') handles.set(frame.tag, handle!);
    else frames.push(frame.kind === 'error' ? { ...frame, index: frame.index - before.length } : frame);
    if (frame.kind === 'forked') session.adopt(frame.pid, handle!);
    if (frame.kind === 'sync') {
      await at?.(frame.tag, { session, handles });
      const given = gives[frame.tag];
      await session.send(goMessage(frame.tag), given && [given]);
    }
  }
  const exit = await session.exit;
  onTestFinished(() => {
    for (const handle of handles.values()) handle.close();
  });
  return { frames, exit, handles, paths: pathsOf(handles) };
}

function pathsOf(handles: ReadonlyMap<number, Handle>): Map<number, string> {
  const open = [...handles].filter(([, handle]) => (handle as NativeHandle).fd >= 0);
  return new Map(open.map(([tag, handle]) => [tag, `/proc/self/fd/${openHandle(handle).fd}`]));
}

async function mapRoot(pid: number): Promise<void> {
  const { uid, gid } = host.environment;
  await host.files.write(`/proc/${pid}/setgroups`, 'deny');
  await host.files.write(`/proc/${pid}/uid_map`, `0 ${uid} 1`);
  await host.files.write(`/proc/${pid}/gid_map`, `0 ${gid} 1`);
}

/** Runs ops that are to come to their end, and gives what they sent. */
export async function succeed(ops: readonly Op[], surroundings?: Surroundings): Promise<Ran> {
  const ran = await run([...ops, halt], surroundings);
  const error = ran.frames.find(({ kind }) => kind === 'error');
  if (error !== undefined) throw new Error(`the program failed: ${JSON.stringify(error)}`);
  if (ran.frames.at(-1)?.kind !== 'done') throw new Error(`the init ended with ${JSON.stringify(ran)}`);
  return ran;
}

/** Runs ops of which the last is to fail, and says how: `op step errno detail`. */
export async function fail(ops: readonly Op[], surroundings?: Surroundings): Promise<string> {
  const { frames } = await run([...ops, halt], surroundings);
  const error = frames.find((frame) => frame.kind === 'error');
  if (error?.kind !== 'error') return `nothing failed: ${JSON.stringify(frames)}`;
  const early = error.index === ops.length - 1 ? '' : `too early, op ${error.index}: `;
  return `${early}${error.op} ${error.step} ${errnoName(error.errno)} ${error.detail}`.trimEnd();
}

/** Runs ops and then a command of busybox, and gives what it wrote to its standard output. */
export async function output(ops: readonly Op[], argv: readonly string[], surroundings: Surroundings = {}) {
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
  const [stdin, stdout, stderr] = stdio.handles;
  const written = text(stdio.stdout!);
  const program = [
    op('stdio', { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' }),
    ...ops,
    op('exec', { files: ['/bin/busybox'], argv: ['busybox', ...argv], env: [] }),
  ];
  const inputs = { ...surroundings.inputs, stdin, stdout, stderr };
  const running = run(program, { ...surroundings, inputs });
  // Ours are closed once the init has its own, so that the end of the command is the end of the output.
  const ran = await running.finally(() => {
    for (const handle of stdio.handles) handle.close();
  });
  const error = ran.frames.find(({ kind }) => kind === 'error');
  if (error !== undefined) throw new Error(`the program failed: ${JSON.stringify(error)}`);
  return { text: await written, ...ran };
}

/** An empty directory that goes when the test does; for thousands of files, in memory where that can be had. */
export function directory({ inMemory = false } = {}): string {
  const path = mkdtempSync(join(inMemory && existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'runts-ops-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

/** An op that opens a directory of the host as a register. */
export const opened = (dst: string, path: string) => op('open', { dst, path });

/** A namespace of this process, as mountinfo and friends name it. */
export const namespaceOf = (pid: number | 'self', type: string) => readlinkSync(`/proc/${pid}/ns/${type}`);
