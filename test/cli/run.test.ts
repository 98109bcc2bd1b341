import { readdirSync, readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';
import { runts, shell, startRunts } from './runts.ts';

const test = testIf('userns', 'busybox');
let root: TemporaryDirectory;
let state: TemporaryDirectory;
const env = () => ({ ROOT: root.path, XDG_RUNTIME_DIR: state.path, XDG_DATA_HOME: state.path });
const inside = (...command: string[]) => runts(['run', '--rootfs', root.path, '--', ...command], { env: env() });

beforeAll(() => {
  root = busyboxRoot();
  state = temporaryDirectory();
});
afterAll(() => {
  root.remove();
  state.remove();
});

describe('exit codes', () => {
  test.each([
    ['that of the command', ['sh', '-c', 'echo out; echo err >&2; exit 7'], 7, 'out\n', /^err\n$/],
    ['128 + n after signal n', ['sh', '-c', 'kill -9 $$'], 137, '', /^$/],
    [
      '127 for a command that is not there',
      ['nosuch'],
      127,
      '',
      /^runts: exec: "nosuch": executable file not found in \$PATH/,
    ],
    ['126 for a file that is no program', ['/etc/passwd'], 126, '', /^runts: exec \/etc\/passwd: permission denied/],
  ])('%s', async (_name, command, code, stdout, stderr) => {
    const ended = await inside(...command);
    expect(ended).toMatchObject({ code, stdout });
    expect(ended.stderr).toMatch(stderr);
  });

  test.each([
    [['--host', '--hostnam', 'x', 'true'], 'runts: run: unknown option --hostnam; did you mean --hostname?'],
    [['--host', '-b', 'x', 'true'], 'run: unknown option -b'],
    [['--host', '--rootfs', 'x', 'true'], 'give one of image, from, rootfs, bundle, host; got rootfs and host'],
    [['--rootfs', 'nosuch', 'true'], 'nosuch as root file system: there is no such directory'],
    [['--host'], 'no command: give command'],
    [['--host', '-u', 'ghost', 'true'], 'there is no user "ghost"'],
    [['--host', '-it', 'true'], 'the standard input is not a terminal'],
    [['--host', '--name', 'a/b', 'true'], 'the id "a/b" is not a name'],
  ])('125 for %j, with the reason', async (args, reason) => {
    const { code, stdout, stderr } = await runts(['run', ...args]);
    expect({ code, stdout }).toEqual({ code: 125, stdout: '' });
    expect(stderr).toContain(reason);
    expect(stderr).not.toMatch(/^ +at .*\.js/m);
  });
});

test('--rm, out of habit, changes nothing: the container goes in any case', async () => {
  expect(await runts(['run', '--rm', '-i', '--host', 'echo', 'x'])).toMatchObject({
    code: 0,
    stdout: 'x\n',
    stderr: '',
  });
  const { code, stderr } = await runts(['run', '--rm=false', '--host', 'true']);
  expect({ code, stderr }).toEqual({ code: 125, stderr: expect.stringContaining('--rm cannot be turned off') });
});

test('of a bundle there is no --rm, as runc has it', async () => {
  const { code, stderr } = await runts(['run', '--rm', 'box']);
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('unknown option --rm') });
});

test('options after the command are the command’s', async () => {
  const { stdout } = await runts(['run', '--host', 'echo', '-t', '--host', '--nosuch']);
  expect(stdout).toBe('-t --host --nosuch\n');
});

describe('pipes', () => {
  test('what is piped to us is what the command reads, to its end', async () => {
    expect((await runts(['run', '--host', 'cat'], { input: 'a\nb\n' })).stdout).toBe('a\nb\n');
  });

  test('the command is told when the reader of its output has gone', async () => {
    const { stdout } = await shell('$RUNTS run --host -- yes | head -n1; echo $PIPESTATUS');
    expect(stdout).toBe('y\n141\n');
  });

  test('a slow reader gets everything: the pipe of the command is not made non-blocking', async () => {
    const { stdout, stderr } = await shell('$RUNTS run --host -- seq 200000 | (sleep 1; tail -n1)');
    expect({ stdout, stderr }).toEqual({ stdout: '200000\n', stderr: '' });
  });

  test('our own output into a pipe that is closed ends quietly, and into a full disk with a reason', async () => {
    const closed = await shell('$RUNTS plan --host -- true | true; echo $PIPESTATUS');
    expect(closed).toMatchObject({ stdout: '141\n', stderr: '' });
    const full = await shell('$RUNTS --help > /dev/full');
    expect(full).toMatchObject({ code: 125, stderr: expect.stringMatching(/^runts: cannot write the output: ENOSPC/) });
  });
});

describe('signals', () => {
  test('SIGINT and SIGTERM to us are the command’s to act on', async () => {
    const trapping = startRunts([
      'run',
      '--host',
      '--',
      'sh',
      '-c',
      'trap "echo got; exit 5" TERM; echo up; while :; do sleep 0.1; done',
    ]);
    await trapping.shows('up');
    trapping.child.kill('SIGTERM');
    expect(await trapping.ended).toMatchObject({ code: 5, stdout: 'up\ngot\n' });

    const dying = startRunts(['run', '--host', '--', 'sh', '-c', 'echo up; exec sleep 100']);
    await dying.shows('up');
    dying.child.kill('SIGINT');
    expect(await dying.ended).toMatchObject({ code: 130, stderr: '' });
  });

  test('a signal while the container is being made ends that, without a word', async () => {
    const { child, ended } = startRunts(['run', '--name', 'early', '--rootfs', root.path, 'sleep', '100'], {
      env: env(),
    });
    // Wherever it finds us: Node without a listener for it is ended by it.
    setTimeout(() => child.kill('SIGTERM'), 130);
    const { code, signal, stderr } = await ended;
    expect({ end: code ?? signal, stderr }).toEqual({
      end: expect.toSatisfy((end) => end === 143 || end === 'SIGTERM'),
      stderr: '',
    });
  });

  test('SIGKILL of us ends the container', async () => {
    const { child, shows, ended } = startRunts(['run', '--rootfs', root.path, 'sh', '-c', 'echo up; exec sleep 31415']);
    await shows('up');
    child.kill('SIGKILL');
    // The pipes are the command's too: they are closed once it is gone.
    expect(await ended).toMatchObject({ signal: 'SIGKILL' });
  });
});

test('a name is one container’s at a time, and nothing is left of it', async () => {
  const args = ['run', '--name', 'web', '--rootfs', root.path];
  const first = startRunts([...args, 'sh', '-c', 'echo up; cat'], { env: env() });
  await first.shows('up');
  const second = await runts([...args, 'true'], { env: env() });
  expect(second).toMatchObject({ code: 125, stderr: expect.stringContaining('web already') });
  first.child.stdin?.end();
  expect((await first.ended).code).toBe(0);
  expect(await runts([...args, 'true'], { env: env() })).toMatchObject({ code: 0, stderr: '' });
  expect(readdirSync(`${state.path}/runts`).filter((name) => name !== '.lock')).toEqual([]);
});

test('--trace says how long each op took', async () => {
  const { stderr } = await runts(['run', '--trace', '--host', 'true']);
  expect(stderr).toMatch(/^ *\d+ ns +\d+ pivot +; /m);
});

testIf('userns', '/dev/fuse')('with --system-view limits a command sees what it has, and not the machine', async () => {
  const [, processor] = /^Cpus_allowed_list:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
  const script = 'grep -c ^processor /proc/cpuinfo; cut -d. -f1 /proc/uptime';
  const limited = `taskset -c ${processor} $RUNTS run --host --system-view limits`;
  const { stdout, stderr } = await shell(`${limited} -- sh -c '${script}'`);
  const [processors, uptime] = stdout.split('\n');
  expect({ processors, stderr }).toEqual({ processors: '1', stderr: '' });
  expect(Number(uptime)).toBeLessThan(30);
  const { code, stderr: refusal } = await runts(['run', '--host', '--system-view', 'mine', 'true']);
  expect(code).toBe(125);
  expect(refusal).toContain('unknown system view "mine"; there are host, limits');
});
