import { readdirSync, readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, onTestFinished } from 'vitest';
import type { Session } from '../../lib/host/host.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import { encode } from '../../lib/program/encode.ts';
import { decodeFrame, type Frame, goMessage, segmentMessages } from '../../lib/program/frames.ts';
import type { Op } from '../../lib/program/ops.ts';
import { host, isolated, op, output, run } from '../support/ops.ts';
import { testIf } from '../support/requires.ts';

const reaps = testIf('userns', 'busybox');
const flags = isolated.user | isolated.pid | isolated.mount;
const reap = (capabilities: number | bigint = 1 << 5) => op('reap', { capabilities });
/** Where a command waits. */
const tag = 7;
const shell = (script: string) => ['sh', '-c', script];
const ownProc = [
  op('fsmount', { dst: 'proc', fstype: 'proc', options: [], attributes: 0 }),
  op('attach_host', { src: 'proc', path: '/proc' }),
];

/** A command under a reaper, once it has started. */
async function start(ops: readonly Op[], argv: readonly string[]) {
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' });
  const [stdin, stdout, stderr] = stdio.handles;
  const session = await host.processes.spawn({ flags });
  onTestFinished(() => session.close());
  const { uid, gid } = host.environment;
  await host.files.write(`/proc/${session.pid}/setgroups`, 'deny');
  await host.files.write(`/proc/${session.pid}/uid_map`, `0 ${uid} 1`);
  await host.files.write(`/proc/${session.pid}/gid_map`, `0 ${gid} 1`);
  const program = encode({
    inputs: ['stdin', 'stdout', 'stderr'],
    ops: [
      op('become_root', {}),
      op('propagation', { flags: 0x80000 }),
      ...ops,
      op('stdio', { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' }),
      op('exec', { files: ['/bin/busybox'], argv: ['busybox', ...argv], env: [] }),
    ],
  });
  for (const message of segmentMessages(program)) await session.send(message, [stdin, stdout, stderr]);
  for (const handle of stdio.handles) handle.close();
  const written = text(stdio.stdout!);
  if (ops.some(({ op }) => op === 'sync')) {
    expect(await next(session)).toEqual({ kind: 'sync', tag });
    await session.send(goMessage(tag));
  }
  expect(await next(session)).toEqual({ kind: 'started' });
  return { session, written };
}

async function next(session: Session): Promise<Frame | undefined> {
  const message = await session.receive();
  return message && decodeFrame(message.bytes);
}

reaps('the host hears that the command started and how it ended', async () => {
  const ended = async (script: string) => (await output([reap()], shell(script), { flags })).frames;
  expect(await ended('exit 7')).toEqual([{ kind: 'started' }, { kind: 'exit', status: 7 << 8 }]);
  expect(await ended('kill -9 $$')).toEqual([{ kind: 'started' }, { kind: 'exit', status: 9 }]);
});

reaps('process 1 is the reaper, and what the command orphans is collected', async () => {
  const script = '(sleep 0.01 &); (true &); sleep 0.2; cat /proc/1/comm; ps -o pid,stat | grep -c Z';
  const { text } = await output([...ownProc, reap()], shell(script), { flags });
  expect(text).toMatch(/\n0\n$/);
  expect(text).not.toContain('busybox');
});

reaps('signals to process 1 go to the command', async () => {
  const script = 'trap "echo got it; exit 3" TERM; echo ready; while :; do sleep 0.05; done';
  const { session, written } = await start([reap()], shell(script));
  await new Promise((resolve) => setTimeout(resolve, 100));
  host.processes.signal(session.process, 15);
  expect(await next(session)).toEqual({ kind: 'exit', status: 3 << 8 });
  expect(await written).toBe('ready\ngot it\n');
});

reaps('all ends when the host closes the channel', async () => {
  const { session, written } = await start([reap()], shell('trap "" HUP TERM; sleep 1000 & sleep 1000'));
  session.close();
  expect(await session.exit).toEqual({ code: 137, signal: undefined });
  expect(await written).toBe('');
});

reaps('what is said on the channel is for the command, while that waits to be let go', async () => {
  const { session, written } = await start([reap(), op('sync', { tag })], shell('echo gone on'));
  expect(await next(session)).toEqual({ kind: 'exit', status: 0 });
  expect(await written).toBe('gone on\n');
});

reaps('all ends when the host closes the channel while the command waits there', async () => {
  const program = encode({ inputs: [], ops: [op('become_root', {}), reap(), op('sync', { tag }), op('halt', {})] });
  const session = await host.processes.spawn({ flags, maps: undefined });
  const { uid, gid } = host.environment;
  await host.files.write(`/proc/${session.pid}/setgroups`, 'deny');
  await host.files.write(`/proc/${session.pid}/uid_map`, `0 ${uid} 1`);
  await host.files.write(`/proc/${session.pid}/gid_map`, `0 ${gid} 1`);
  for (const message of segmentMessages(program)) await session.send(message);
  expect(await next(session)).toEqual({ kind: 'sync', tag });
  session.close();
  expect(await session.exit).toMatchObject({ signal: undefined });
});

reaps('a command that makes orphans without end does not keep process 1 from its host', async () => {
  const bomb = 'while :; do (true &); (true &); (true &); done';
  const { session } = await start([reap()], shell(`(${bomb}) & (${bomb}) & ${bomb}`));
  await new Promise((resolve) => setTimeout(resolve, 300));
  session.close();
  expect(await session.exit).toEqual({ code: 137, signal: undefined });
});

reaps('a command that could get hold of process 1 would find it under a filter of its own', async () => {
  const filter = async (ops: readonly Op[]) => {
    const { session } = await start([reap(), ...ops], shell('sleep 1000'));
    return /^Seccomp:\t(\d)$/m.exec(readFileSync(`/proc/${session.pid}/status`, 'utf8'))?.[1];
  };
  const ptrace = 1n << 19n;
  const capabilities = (1n << 41n) - 1n;
  expect(await filter([])).toBe('2');
  expect(await filter([op('bounding', { capabilities })])).toBe('2');
  expect(await filter([op('bounding', { capabilities: capabilities & ~ptrace })])).toBe('0');
});

reaps('process 1 keeps its channel, its signals and its one capability', async () => {
  const { session } = await start([...ownProc, reap()], shell('sleep 1000'));
  const status = readFileSync(`/proc/${session.pid}/status`, 'utf8');
  for (const set of ['CapPrm', 'CapEff', 'CapBnd']) expect(status).toMatch(new RegExp(`^${set}:\t0{14}20$`, 'm'));
  expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  if (process.getuid?.() === 0) expect(readdirSync(`/proc/${session.pid}/fd`)).toHaveLength(2);
});

reaps.each([
  ['without a filter', [op('bounding', { capabilities: 0n })]],
  ['under one', []],
] as const)('process 1 keeps what it needs of its memory, also after it has had work to do: %s', async (_, ops) => {
  const script =
    'trap "grep VmRSS /proc/1/status; exit" USR1; (true &); sleep 0.1; kill -USR1 1; while :; do sleep 0.01; done';
  const { text } = await output([...ownProc, reap(), ...ops], shell(script), { flags });
  // Of the 110 KiB and more that it has set the container up with.
  expect(Number(/(\d+) kB/.exec(text)?.[1])).toBeLessThan(48);
});

reaps('the command sees nothing of process 1, though it is root of the same user namespace', async () => {
  const files = ['environ', 'mem', 'maps', 'auxv', 'stack', 'syscall'].map((file) => `/proc/1/${file}`);
  const script = `for f in ${files.join(' ')}; do head -c 1 $f > /dev/null 2>&1 && echo $f; done; ls /proc/1/root /proc/1/cwd/ 2> /dev/null; readlink /proc/1/exe /proc/1/fd/*; true`;
  // Without the power to look at any process, as containers are by default: CAP_SYS_PTRACE is number 19.
  const sets = ((1n << 41n) - 1n) & ~(1n << 19n);
  const without = [
    op('bounding', { capabilities: sets }),
    op('capabilities', { effective: sets, permitted: sets, inheritable: 0n, ambient: 0n }),
  ];
  const { text } = await output([...ownProc, reap(), ...without], shell(script), { flags });
  expect(text).toBe('');
});

reaps('a failure under a reaper is told, and is no start', async () => {
  const ops = [reap(), op('exec', { files: ['/nonexistent'], argv: ['x'], env: [] })];
  const { frames, exit } = await run(ops, { flags });
  expect(frames).toMatchObject([
    { kind: 'error', op: 'exec', errno: 2 },
    { kind: 'exit', status: 125 << 8 },
  ]);
  expect(exit.code).toBe(125);
});
