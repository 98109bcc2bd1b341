import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { testIf } from '../support/requires.ts';
import { type Bundles, bundles, ordinary } from './bundle.ts';
import { shell } from './runts.ts';

const test = testIf('userns', 'busybox');
let on: Bundles;
const exec = (...args: string[]) => on.runts(['exec', ...args]);

beforeAll(async () => {
  on = bundles();
  const bundle = on.make('box', ['sleep', '1000'], (config) => {
    config.root.readonly = false;
  });
  const { code, stderr } = await on.detached(['run', '-d', '-b', bundle, 'box']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const plain = on.make('plain', ['sleep', '1000'], ({ process }) => {
    process.env = ['PATH=/bin'];
  });
  await on.detached(['run', '-d', '-b', plain, 'plain']);
});
afterAll(() => on.remove());

test('a command runs in the container, with our pipes and its exit code', async () => {
  const ended = await on.runts(['exec', 'box', 'sh', '-c', 'hostname; cat; echo err >&2; exit 7'], { input: 'in\n' });
  expect(ended).toMatchObject({ code: 7, stdout: 'box\nin\n', stderr: 'err\n' });
  expect((await exec('box', 'sh', '-c', 'kill -9 $$')).code).toBe(137);
});

test('options before the id are ours, and those after it the command’s', async () => {
  const { stdout } = await exec(
    '--cwd',
    '/tmp',
    '-e',
    'A=b c',
    '--env',
    'D=',
    'box',
    'sh',
    '-c',
    'pwd; echo "$A" "$D" $#',
  );
  expect(stdout).toBe('/tmp\nb c  0\n');
  expect((await exec('box', 'echo', '-t', '--cwd', '-nosuch')).stdout).toBe('-t --cwd -nosuch\n');
});

test('the process is confined as the container’s own is', async () => {
  const { stdout } = await exec('box', 'grep', '-E', '^(CapEff|CapBnd|NoNewPrivs):', '/proc/self/status');
  expect(stdout).toBe('CapEff:\t0000000020000420\nCapBnd:\t0000000020000420\nNoNewPrivs:\t1\n');
});

test('a capability can be added', async () => {
  const { stdout } = await exec('--cap', 'CAP_CHOWN', 'box', 'grep', 'CapEff', '/proc/self/status');
  expect(stdout).toBe('CapEff:\t0000000020000421\n');
});

test.skipIf(ordinary)('a user and groups are taken by number, and HOME is the user’s', async () => {
  const script = 'id -u; id -g; id -G; echo $HOME';
  const { stdout } = await exec('-u', '1000:1000', '-g', '2000', 'plain', 'sh', '-c', script);
  expect(stdout).toBe('1000\n1000\n1000 2000\n/home/app\n');
});

test('a whole process comes from a file', async () => {
  const file = join(on.path, 'process.json');
  const process = {
    args: ['sh', '-c', 'pwd; echo $X'],
    cwd: '/bin',
    env: ['PATH=/bin', 'X=y'],
    user: { uid: 0, gid: 0 },
  };
  writeFileSync(file, JSON.stringify(process));
  expect(await exec('--process', file, 'box')).toMatchObject({ code: 0, stdout: '/bin\ny\n' });
  expect(await on.runts(['exec', '-p', 'process.json', 'box'], { cwd: on.path })).toMatchObject({ code: 0 });
});

test('with --detach it goes on without us, and its number is written where we were called', async () => {
  const { code } = await on.detached(['exec', '-d', '--pid-file', 'pid', 'box', 'sleep', '500'], { cwd: on.path });
  expect(code).toBe(0);
  const pid = readFileSync(join(on.path, 'pid'), 'utf8');
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, 2)).toEqual(['sleep', '500']);
  expect(JSON.parse((await on.runts(['ps', '-f', 'json', 'box'])).stdout)).toContain(Number(pid));
});

test('with -t it has a terminal though we have none, of the size that was asked for', async () => {
  const { code, stdout } = await exec('-t', '--console-size', '100x40', 'box', 'sh', '-c', 'tty; stty size; exit 3');
  // To a pipe there is no terminal whose lines need a carriage return.
  expect({ code, stdout }).toEqual({ code: 3, stdout: '/dev/pts/0\n40 100\n' });
});

test('of --preserve-fds, descriptors that are not open are left out, with a warning', async () => {
  const command = `exec 3</dev/null; exec $RUNTS --root ${on.state} exec --preserve-fds=100 box true`;
  const { code, stderr } = await shell(command);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('descriptor 4 is not open: 1 are') });
});

test('--preserve-fds hands descriptors on, and no others', async () => {
  const at = join(on.path, 'fd');
  writeFileSync(at, 'four\n');
  const command = `exec 3</dev/null 4<${at} 5<${at}; $RUNTS --root ${on.state} exec --preserve-fds=2 box sh -c 'cat <&4; ls /proc/self/fd'`;
  const { stdout } = await shell(command);
  expect(stdout).toMatch(/^four\n0\n1\n2\n3\n4\n5\n$/);
});

test('LISTEN_FDS of ours are the command’s', async () => {
  const command = `LISTEN_FDS=1 LISTEN_FDNAMES=web exec 3</dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=web $RUNTS --root ${on.state} exec box env`;
  const { stdout } = await shell(command);
  expect(stdout).toMatch(/^LISTEN_FDS=1$/m);
  expect(stdout).toMatch(/^LISTEN_PID=1$/m);
  expect(stdout).toMatch(/^LISTEN_FDNAMES=web$/m);
});

test('a signal to us is the command’s', async () => {
  const running = on.start([
    'exec',
    'box',
    'sh',
    '-c',
    'trap "echo got; exit 5" TERM; echo up; while :; do sleep 0.1; done',
  ]);
  await running.shows('up');
  running.child.kill('SIGTERM');
  expect(await running.ended).toMatchObject({ code: 5, stdout: 'up\ngot\n' });
});

describe('what is ours to say: one line, and 255', () => {
  test.each<[string, string[], string | RegExp]>([
    ['no container', ['nosuch', 'true'], 'runts: container does not exist: nosuch'],
    ['no command', ['box'], 'runts: "exec" requires ID and a COMMAND'],
    ['no id', [], 'runts: "exec" requires ID and a COMMAND'],
    ['a command that is not there', ['box', 'nosuch'], 'exec: "nosuch": executable file not found in $PATH\n'],
    ['a command that is none', ['box', '/etc/passwd'], 'exec /etc/passwd: permission denied\n'],
    ['a user by name', ['-u', 'root', 'box', 'true'], '--user: must be UID or UID:GID'],
    ['a user that wraps', ['-u', '4294967296', 'box', 'true'], '--user: must be UID or UID:GID'],
    ['a variable without a value', ['-e', 'A', 'box', 'true'], '/process/env/'],
    ['a relative directory', ['--cwd', 'x', 'box', 'true'], '/process/cwd: must be an absolute path'],
    [
      'a pid file that cannot be written',
      ['--pid-file', '/nosuch/pid', 'box', 'true'],
      'cannot write the pid file /nosuch/pid',
    ],
    ['a process file that is none', ['-p', '/etc/passwd', 'box'], '/etc/passwd: line 1'],
    ['a process file that is not there', ['-p', '/nosuch', 'box'], 'cannot read /nosuch: ENOENT'],
    [
      'a count beyond what can be passed',
      ['--preserve-fds', '201', 'box', 'true'],
      '--preserve-fds: must be a whole number from 0 to 200',
    ],
    ['a count that is none', ['--preserve-fds', '-1', 'box', 'true'], '--preserve-fds: must be a whole number'],
    ['a terminal for nobody', ['-t', '-d', 'box', 'true'], 'use --console-socket'],
    ['a console socket for nobody', ['--console-socket', '/x', 'box', 'true'], 'cannot use console socket'],
    ['a controller', ['--cgroup', 'cpu:x', 'box', 'true'], 'unknown controller in --cgroup cpu:x'],
    ['a cgroup above that of the container', ['--cgroup', '../..', 'box', 'true'], 'the cgroup '],
  ])('%s', async (_name, args, text) => {
    const { code, stdout, stderr } = await exec(...args);
    expect({ code, stdout }).toEqual({ code: 255, stdout: '' });
    expect(stderr).toContain(text);
    expect(stderr).toMatch(/^[^\n]+\n$/);
  });

  test('an option that nobody knows is 1', async () => {
    expect(await exec('--usr', '0', 'box', 'true')).toMatchObject({
      code: 1,
      stderr: 'runts: exec: unknown option --usr; did you mean --user?\n',
    });
  });
});
