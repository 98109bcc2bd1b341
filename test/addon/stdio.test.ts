import { readdirSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import type { Handle } from '../../lib/host/host.ts';
import { createHost } from '../../lib/node/host.ts';
import { openStdio } from '../../lib/node/stdio.ts';
import { openTerminal, type TerminalStream } from '../../lib/node/terminal.ts';
import { testIf } from '../support/requires.ts';
import { mapSelf, namespace, op, send } from './programs.ts';

const host = createHost();
const descriptors = () => readdirSync('/proc/self/fd').length;
const exec = (...argv: string[]) =>
  op('exec', { files: [argv[0] as string], argv, env: ['TERM=dumb', 'PATH=/usr/bin:/bin'] });

async function execWith(handles: readonly [Handle, Handle, Handle], ...argv: string[]) {
  const session = await host.processes.spawn({ flags: 0 });
  const [stdin, stdout, stderr] = handles;
  const streams = op('stdio', { stdin: 'stdin', stdout: 'stdout', stderr: 'stderr' });
  await send(session, [streams, exec(...argv)], { inputs: { stdin, stdout, stderr } });
  for (const handle of handles) handle.close();
  return session;
}

test('what is written to stdin comes back from stdout, and both end', async () => {
  const stdio = openStdio({ stdin: 'pipe', stdout: 'pipe', stderr: 'pipe' });
  const session = await execWith(stdio.handles, '/bin/sh', '-c', 'cat; echo oops >&2');
  const content = 'line\n'.repeat(100_000);
  stdio.stdin?.end(content);
  expect(await Promise.all([text(stdio.stdout!), text(stdio.stderr!)])).toEqual([content, 'oops\n']);
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
});

test('a reader that is slow holds its writer back', async () => {
  const stdio = openStdio({ stdin: 'ignore', stdout: 'pipe', stderr: 'ignore' });
  const session = await execWith(stdio.handles, '/usr/bin/head', '-c', '50000000', '/dev/zero');
  await host.clock.after(100).done;
  expect(stdio.stdout?.readableLength).toBeLessThan(1_000_000);
  expect(host.processes.signal(session.process, 0)).toBe(true);
  let total = 0;
  for await (const chunk of stdio.stdout!) total += chunk.length;
  expect(total).toBe(50_000_000);
  expect((await session.exit).code).toBe(0);
});

test('a stream can be ignored, inherited, or a descriptor', async () => {
  const stdio = openStdio({ stdin: 'ignore', stdout: 1, stderr: 'inherit' });
  expect([stdio.stdin, stdio.stdout, stdio.stderr]).toEqual([undefined, undefined, undefined]);
  const session = await execWith(stdio.handles, '/bin/sh', '-c', 'test -z "$(cat)" && test -e /proc/self/fd/2');
  expect(await session.exit).toEqual({ code: 0, signal: undefined });
});

test('streams that are not used leave no descriptor, and bad ones are refused', async () => {
  const before = descriptors();
  const stdio = openStdio({ stdin: 'pipe', stdout: 'pipe', stderr: 'ignore' });
  stdio.close();
  expect(() => openStdio({ stdin: 'pipe', stdout: 99_999, stderr: 'ignore' })).toThrow(
    expect.objectContaining({ code: 'EBADF' }),
  );
  expect(() => openStdio({ stdin: 'pipe', stdout: -1, stderr: 'ignore' })).toThrow(
    expect.objectContaining({ code: 'ERR_SPEC' }),
  );
  // Those of the tests before may still be on their way.
  await expect.poll(() => descriptors() <= before).toBe(true);
});

/** A program on a terminal of its own, of a devpts of its own: the host's is only root's to open by directory. */
async function onTerminal(...argv: string[]) {
  const session = await host.processes.spawn({ flags: namespace.user | namespace.mount });
  await mapSelf(host, session.pid, host.environment);
  const options = ['newinstance', 'ptmxmode=0666', 'mode=0620'];
  const ops = [
    op('become_root', {}),
    op('fsmount', { dst: 'devpts', fstype: 'devpts', options, attributes: 0 }),
    op('pty', { master: 'master', slave: 'slave', devpts: 'devpts' }),
    op('window', { src: 'slave', columns: 91, rows: 27 }),
    op('send_handle', { src: 'master', tag: 1 }),
    op('new_session', {}),
    op('controlling_terminal', { src: 'slave' }),
    op('stdio', { stdin: 'slave', stdout: 'slave', stderr: 'slave' }),
    op('close_from', { fd: 4 }),
    exec(...argv),
  ];
  await send(session, ops);
  const message = await session.receive();
  if (message?.handles[0] === undefined) throw new Error('no terminal came');
  return { session, terminal: openTerminal(message.handles[0]) };
}

async function until(terminal: TerminalStream, wanted: string): Promise<string> {
  let seen = '';
  for await (const chunk of terminal.iterator({ destroyOnReturn: false })) {
    seen += chunk;
    if (seen.includes(wanted)) return seen;
  }
  return seen;
}

testIf('userns')('a terminal is one to its program, has its size, and ends with it', async () => {
  const { session, terminal } = await onTerminal('/bin/sh', '-c', 'stty size; test -t 0 && echo tty; exit 4');
  expect(await text(terminal)).toBe('27 91\r\ntty\r\n');
  expect((await session.exit).code).toBe(4);
  expect(terminal.size).toBe(undefined);
});

testIf('userns')('what is typed is read, and a change of size is told', async () => {
  const script = 'trap "stty size" WINCH; echo ready; while :; do read line && echo "got $line"; done';
  const { session, terminal } = await onTerminal('/bin/sh', '-c', script);
  await until(terminal, 'ready');
  terminal.write('hello\r');
  expect(await until(terminal, 'got hello')).toContain('got hello');
  terminal.resize({ columns: 100, rows: 50 });
  expect(terminal.size).toEqual({ columns: 100, rows: 50 });
  terminal.write('\r');
  expect(await until(terminal, '50 100')).toContain('50 100');
  expect(() => terminal.resize({ columns: -1, rows: 1 })).toThrow('columns of a terminal');
  terminal.destroy();
  // The hangup of its terminal ends the shell.
  expect((await session.exit).signal).toBe(1);
});

testIf('userns')('a program that does not read its terminal does not stop us', async () => {
  const { session, terminal } = await onTerminal('/bin/sh', '-c', 'stty raw -echo; echo ready; sleep 1000');
  await until(terminal, 'ready');
  const start = host.clock.now();
  const written = terminal.write(new Uint8Array(1_000_000));
  expect(written).toBe(false);
  await host.clock.after(10).done;
  expect(host.clock.now() - start).toBeLessThan(1000);
  expect(terminal.writableLength).toBeGreaterThan(900_000);
  host.processes.signal(session.process, 9);
  await session.exit;
  terminal.destroy();
});

testIf('userns')('a slow reader of a terminal holds its program back', async () => {
  const { session, terminal } = await onTerminal('/usr/bin/head', '-c', '2000000', '/dev/zero');
  await host.clock.after(50).done;
  expect(terminal.readableLength).toBeLessThan(200_000);
  let total = 0;
  for await (const chunk of terminal) total += chunk.length;
  expect(total).toBe(2_000_000);
  expect((await session.exit).code).toBe(0);
});
