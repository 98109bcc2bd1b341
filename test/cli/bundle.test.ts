import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect } from 'vitest';
import { can, testIf } from '../support/requires.ts';
import { busyboxRoot, type TemporaryDirectory, temporaryDirectory } from '../support/rootfs.ts';
import { inTerminal, runts, startRunts } from './runts.ts';

const test = testIf('userns', 'busybox');
let root: TemporaryDirectory;
let directory: TemporaryDirectory;
const env = () => ({ XDG_RUNTIME_DIR: directory.path });

beforeAll(() => {
  root = busyboxRoot();
  directory = temporaryDirectory();
});
afterAll(() => {
  root.remove();
  directory.remove();
});

// biome-ignore lint/suspicious/noExplicitAny: a document that tests change at will.
type Config = any;

/** A bundle as another runtime's `spec` makes it, changed. */
function bundle(name: string, make: string[], change: (config: Config) => void): string {
  const path = `${directory.path}/${name}`;
  mkdirSync(path);
  symlinkSync(root.path, `${path}/rootfs`);
  expect(spawnSync(make[0] as string, make.slice(1), { cwd: path }).status).toBe(0);
  const config = JSON.parse(readFileSync(`${path}/config.json`, 'utf8'));
  change(config);
  writeFileSync(`${path}/config.json`, JSON.stringify(config));
  return path;
}

/** Ours alone, for what does not depend on who made it. */
function ownBundle(name: string, change: (config: Config) => void = () => {}): string {
  const path = `${directory.path}/${name}`;
  mkdirSync(path);
  const namespaces = ['user', 'mount', 'pid', 'ipc', 'uts'].map((type) => ({ type }));
  const config = {
    ociVersion: '1.0.2',
    process: { args: ['sh', '-c', 'echo in $HOME'], cwd: '/', env: ['PATH=/bin', 'HOME=/x'], user: { uid: 0, gid: 0 } },
    root: { path: root.path },
    linux: { namespaces },
  };
  change(config);
  writeFileSync(`${path}/config.json`, JSON.stringify(config));
  return path;
}

describe('bundles of other runtimes', () => {
  const rootless = process.getuid?.() === 0 ? [] : ['--rootless'];
  for (const runtime of ['runc', 'crun']) {
    const missing = spawnSync(runtime, ['--version']).error !== undefined;
    const title = `what ${runtime} spec makes runs, without a terminal and with one`;
    if (missing) test.skip(`${title} (needs ${runtime})`, () => {});
    else {
      test(title, async () => {
        const script = 'id -u; cat /proc/1/comm; hostname; grep CapEff /proc/self/status; touch /x || exit 3';
        const plain = bundle(`${runtime}-plain`, [runtime, 'spec', ...rootless], ({ process }) => {
          process.terminal = false;
          process.args = ['sh', '-c', script];
        });
        const ended = await runts(['run', '-b', plain, 'one'], { env: env() });
        expect(ended).toMatchObject({ code: 3, stderr: expect.stringContaining('Read-only file system') });
        expect(ended.stdout).toBe(`0\nsh\n${runtime}\nCapEff:\t0000000020000420\n`);

        const asMade = bundle(`${runtime}-made`, [runtime, 'spec', ...rootless], () => {});
        const refused = await runts(['run', '-b', asMade], { env: env() });
        expect(refused).toMatchObject({ code: 125, stderr: expect.stringContaining('the bundle wants a terminal') });
        if (can('script') !== true) return;
        const terminal = inTerminal(`$RUNTS run -b ${asMade} two`, { env: env() });
        await terminal.shows('/ # ');
        terminal.type('stty size; exit 4\n');
        await terminal.shows('27 91');
        expect((await terminal.ended).code).toBe(4);
      });
    }
  }
});

test('a bundle is named from where we are, and its command, variables and root are its own', async () => {
  ownBundle('own');
  const ended = await runts(['run', '--bundle', 'own'], { cwd: directory.path });
  expect(ended).toMatchObject({ code: 0, stdout: 'in /x\n', stderr: '' });
});

test('an id is one container’s at a time', async () => {
  const path = ownBundle('twice', ({ process }) => {
    process.args = ['sh', '-c', 'echo up; cat'];
  });
  const first = startRunts(['run', '-b', path, 'same'], { env: env() });
  await first.shows('up');
  const second = await runts(['run', '-b', path, 'same'], { env: env() });
  expect(second).toMatchObject({ code: 125, stderr: expect.stringContaining('with the id same already') });
  first.child.stdin?.end();
  expect((await first.ended).code).toBe(0);
  expect((await runts(['run', '-b', path, 'same'], { env: env() })).code).toBe(0);
});

test.each<[string, string, (config: Config) => void]>([
  [
    'hooks',
    'hooks: not supported yet\n  at config /hooks/poststop',
    (c) => Object.assign(c, { hooks: { poststop: [{ path: '/bin/true' }] } }),
  ],
  [
    'a root that is not there',
    'as root file system: there is no such directory',
    (c) => Object.assign(c.root, { path: 'nosuch' }),
  ],
  [
    'a namespace of an unknown type',
    '/linux/namespaces/0/type',
    (c) => Object.assign(c.linux.namespaces[0], { type: 'usr' }),
  ],
])('%s: refused with the place', async (name, reason, change) => {
  const { code, stderr } = await runts(['run', '-b', ownBundle(name.replace(/ /g, '-'), change)]);
  expect(code).toBe(125);
  expect(stderr).toContain(reason);
});

test('no bundle, and one that is no JSON', async () => {
  const missing = await runts(['run', '-b', directory.path, 'x'], { env: env() });
  expect(missing).toMatchObject({
    code: 125,
    stderr: expect.stringMatching(/config\.json: ENOENT\n {2}hint: A bundle is/),
  });
  const path = ownBundle('broken');
  writeFileSync(`${path}/config.json`, '{"ociVersion": ');
  const broken = await runts(['run', '-b', path]);
  expect(broken.code).toBe(125);
  expect(broken.stderr).toContain(`${path}/config.json`);
});
