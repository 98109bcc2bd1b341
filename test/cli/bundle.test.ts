import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { can, testIf } from '../support/requires.ts';
import { type Bundles, bundles, type Config } from './bundle.ts';
import { inTerminal, runts } from './runts.ts';

const test = testIf('userns', 'busybox');
let on: Bundles;
beforeAll(() => {
  on = bundles();
});
afterAll(() => on.remove());

describe('bundles of other runtimes', () => {
  const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
  for (const runtime of ['runc', 'crun']) {
    const missing = spawnSync(runtime, ['--version']).error !== undefined;
    const title = `what ${runtime} spec makes runs, without a terminal and with one`;
    if (missing) test.skip(`${title} (needs ${runtime})`, () => {});
    else {
      test(title, async () => {
        const plain = made(runtime, 'plain', rootless, ({ process }) => {
          process.terminal = false;
          const script = 'id -u; cat /proc/1/comm; hostname; grep CapEff /proc/self/status; touch /x || exit 3';
          process.args = ['sh', '-c', script];
        });
        const ended = await on.runts(['run', '-b', plain, 'one']);
        expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining('Read-only file system') });
        expect(ended.stdout).toBe(`0\nsh\n${runtime}\nCapEff:\t0000000020000420\n`);

        const asMade = made(runtime, 'made', rootless, () => {});
        expect(await on.runts(['run', '-b', asMade, 'two'], { input: 'exit 5\n' })).toMatchObject({ code: 5 });
        if (can('script') !== true) return;
        const terminal = inTerminal(`$RUNTS --root ${on.state} run -b ${asMade} three`);
        await terminal.shows('/ # ');
        terminal.type('stty size; exit 4\n');
        await terminal.shows('27 91');
        expect((await terminal.ended).code).toBe(4);
      });
    }
  }
});

/** A bundle as another runtime's `spec` makes it, changed. */
function made(runtime: string, name: string, args: readonly string[], change: (config: Config) => void): string {
  const path = join(on.path, `${runtime}-${name}`);
  mkdirSync(path);
  symlinkSync(
    JSON.parse(readFileSync(join(on.make('root', ['true']), 'config.json'), 'utf8')).root.path,
    join(path, 'rootfs'),
  );
  expect(spawnSync(runtime, ['spec', ...args], { cwd: path }).status).toBe(0);
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  change(config);
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  return path;
}

test('what our own spec writes runs, and is not overwritten', async () => {
  const path = join(on.path, 'spec');
  mkdirSync(path);
  const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
  expect(await runts(['spec', ...rootless], { cwd: path })).toMatchObject({ code: 0, stdout: '', stderr: '' });
  const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
  expect(config).toMatchObject({ process: { terminal: true, args: ['sh'] }, root: { path: 'rootfs', readonly: true } });
  expect(await runts(['spec', '-b', path])).toMatchObject({
    code: 1,
    stderr: expect.stringContaining(`File ${path}/config.json exists. Remove it first`),
  });
  const root = JSON.parse(readFileSync(join(on.make('root', ['true']), 'config.json'), 'utf8')).root.path;
  symlinkSync(root, join(path, 'rootfs'));
  expect(await on.runts(['run', 'spec'], { cwd: path, input: 'exit 6\n' })).toMatchObject({ code: 6 });
  expect((await runts(['spec', '-f', 'other.json', '-b', path])).code).toBe(0);
  expect((await runts(['spec', '-b', '/nosuch'])).stderr).toContain('cannot write /nosuch/config.json');
});

describe('run', () => {
  test('has the bundle from where we are, our pipes, and the exit code; nothing is left', async () => {
    const path = on.make('here', ['sh', '-c', 'cat; echo "in $HOME" >&2; exit 7']);
    const ended = await on.runts(['run', 'here'], { cwd: path, input: 'x\n' });
    expect(ended).toMatchObject({ code: 7, stdout: 'x\n', stderr: 'in /root\n' });
    expect(existsSync(join(on.state, 'here'))).toBe(false);
  });

  test('reads another file than config.json', async () => {
    const path = on.make('named', ['echo', 'a']);
    const config = JSON.parse(readFileSync(join(path, 'config.json'), 'utf8'));
    config.process.args = ['echo', 'b'];
    writeFileSync(join(path, 'other.json'), JSON.stringify(config));
    expect((await on.runts(['run', '-b', path, '--config', 'other.json', 'named'])).stdout).toBe('b\n');
    expect((await on.runts(['run', '-b', path, '-f', join(path, 'config.json'), 'named'])).stdout).toBe('a\n');
  });

  test('keeps the container where it was asked to', async () => {
    const path = on.make('kept', ['true']);
    expect((await on.runts(['run', '--keep', '-b', path, 'kept'])).code).toBe(0);
    expect((await on.runts(['state', 'kept'])).stdout).toContain('"status": "stopped"');
    expect((await on.runts(['delete', 'kept'])).code).toBe(0);
  });

  test('with --detach leaves it running, without a word', async () => {
    const path = on.make('away', ['sleep', '1000']);
    const ended = await on.detached(['run', '--detach', '--pid-file', 'pid', '-b', path, 'away'], { cwd: path });
    expect(ended).toMatchObject({ code: 0, stdout: '', stderr: '' });
    const { pid, status } = JSON.parse((await on.runts(['state', 'away'])).stdout);
    expect({ pid: String(pid), status }).toEqual({ pid: readFileSync(join(path, 'pid'), 'utf8'), status: 'running' });
    expect((await on.runts(['delete', '-f', 'away'])).code).toBe(0);
  });

  test('passes signals on, and has its id to itself as long as it runs', async () => {
    const path = on.make('same', ['sh', '-c', 'trap "echo got; exit 5" TERM; echo up; while :; do sleep 0.1; done']);
    const first = on.start(['run', '-b', path, 'same']);
    await first.shows('up');
    const second = await on.runts(['run', '-b', path, 'same']);
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('container with given ID already exists'),
    });
    first.child.kill('SIGTERM');
    expect(await first.ended).toMatchObject({ code: 5, stdout: 'up\ngot\n' });
    expect(existsSync(join(on.state, 'same'))).toBe(false);
  });

  test('has a container whose command cannot be executed gone, and says so in one line', async () => {
    const path = on.make('none', ['nosuch']);
    const ended = await on.runts(['run', '-b', path, 'none']);
    expect(ended).toMatchObject({ code: 1, stderr: 'exec: "nosuch": executable file not found in $PATH\n' });
    expect(existsSync(join(on.state, 'none'))).toBe(false);
  });

  test('hands the sockets on that systemd gave us, and the one to tell it', async () => {
    const path = on.make('socket', [
      'sh',
      '-c',
      'env | grep -E "^(LISTEN|NOTIFY)" | sort; ls -l /proc/self/fd/3 | wc -l',
    ]);
    const bare = await on.runts(['run', '-b', path, 'socket'], { env: { LISTEN_FDS: 'x' } });
    expect(bare).toMatchObject({ code: 1, stderr: expect.stringContaining('LISTEN_FDS must be a number, not "x"') });
    const ended = await on.runts(['run', '-b', path, 'socket'], {
      env: { LISTEN_FDS: '0', NOTIFY_SOCKET: '@abstract' },
    });
    expect(ended.stdout).toBe('0\n');
  });
});

test.each<[string, string, (config: Config) => void]>([
  ['a root that is not there', '/nosuch as rootfs', (c) => Object.assign(c.root, { path: 'nosuch' })],
  [
    'a namespace of an unknown type',
    '/linux/namespaces/0/type',
    (c) => Object.assign(c.linux.namespaces[0], { type: 'usr' }),
  ],
  ['no process', 'process', (c) => Object.assign(c, { process: undefined })],
])('%s: refused with the place', async (name, reason, change) => {
  const { code, stderr } = await on.runts(['run', '-b', on.make(name.replace(/ /g, '-'), ['true'], change), 'x']);
  expect(code).toBe(1);
  expect(stderr).toContain(reason);
});

test('no bundle, and one that is no JSON', async () => {
  const missing = await on.runts(['run', '-b', on.path, 'x']);
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringMatching(/config\.json: ENOENT \(A bundle is/) });
  const path = on.make('broken', ['true']);
  for (const text of ['{"ociVersion": ', 'null', '[]', '', '"x"']) {
    writeFileSync(join(path, 'config.json'), text);
    const broken = await on.runts(['run', '-b', path, 'x']);
    expect(broken.code).toBe(1);
    expect(broken.stderr).toContain(`${path}/config.json`);
    expect(broken.stderr).toMatch(/^runts: [^\n]+\n$/);
  }
});
