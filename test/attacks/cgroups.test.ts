// R30: what names a cgroup leads to one, below the mount of the hierarchy, whatever stands on the way.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished } from 'vitest';
import { filterDevices, giveAway, intendCgroup, makeCgroup } from '../../lib/host/cgroups/make.ts';
import { watchOom } from '../../lib/host/cgroups/oom.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { readStats } from '../../lib/host/cgroups/stats.ts';
import { createHost } from '../../lib/node/host.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const host = createHost();
const root = cgroup2Root ?? '/';
const attackIf = testIf('root', 'cgroup2');

const nameOf = (): string => `runts-attack-${process.pid}-${randomBytes(4).toString('hex')}`;

/** Whoever is moved about. */
let bystander: ChildProcess;
beforeAll(() => {
  bystander = spawn('sleep', ['1000'], { stdio: 'ignore' });
});
afterAll(() => void bystander.kill('SIGKILL'));

/** A cgroup of the test's own; it goes at the end, after what was mounted in it. */
function cgroupDirectory(): string {
  const path = join(root, nameOf());
  fs.mkdirSync(path);
  onTestFinished(() => fs.rmdirSync(path));
  return path;
}

/** Somebody else's cgroup, with a process in it that is to go on. */
function victim(): { readonly path: string; readonly child: ChildProcess } {
  const path = cgroupDirectory();
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  fs.writeFileSync(join(path, 'cgroup.procs'), `${child.pid}`);
  return { path, child };
}

/** A directory of the host that nothing is to be made in, or taken from. */
function canary(): string {
  const path = fs.mkdtempSync(join(tmpdir(), 'runts-attack-'));
  onTestFinished(() => fs.rmSync(path, { recursive: true, force: true }));
  fs.mkdirSync(join(path, 'empty'));
  for (const file of ['procs', 'kill', 'freeze', 'subtree_control']) {
    fs.writeFileSync(join(path, `cgroup.${file}`), 'untouched');
  }
  fs.writeFileSync(join(path, 'cgroup.events'), 'populated 1\nfrozen 0\n');
  for (const file of ['memory.max', 'memory.events', 'cpu.stat']) fs.writeFileSync(join(path, file), 'untouched 1\n');
  return path;
}

const stateOf = (path: string) =>
  fs.readdirSync(path).map((name) => {
    const { mode, uid, size } = fs.lstatSync(join(path, name));
    return [name, mode, uid, size];
  });

function mount(...args: string[]): void {
  const target = args[args.length - 1]!;
  const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  onTestFinished(() => void spawnSync('umount', ['-l', target]));
}

/** Everything that is done to a cgroup by its path. */
const deeds: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
  read: (path) => host.cgroups.read(`${path}/cgroup.procs`),
  write: (path) => host.cgroups.write(`${path}/memory.max`, '1'),
  list: (path) => host.cgroups.list(path),
  make: (path) => host.cgroups.makeDirectory(`${path}/made`, 0o755),
  'remove a directory': (path) => host.cgroups.removeDirectory(`${path}/empty`),
  open: (path) => host.cgroups.open(path, 'directory'),
  'give away': (path) => giveAway(host, path, 12345),
  watch: (path) => host.cgroups.watch(`${path}/cgroup.procs`),
  'look for memory that is used up': (path) => watchOom(host, recordOf(path)),
  count: (path) => readStats(host, recordOf(path)),
  'filter devices': (path) => filterDevices(host, path, new Uint8Array(8)),
  enter: (path) => openCgroup(host, recordOf(path)).enter(bystander.pid!),
  'be born in': (path) => openCgroup(host, recordOf(path)).open(),
  'be born below': (path) => openCgroup(host, recordOf(path)).open('empty'),
  kill: (path) => openCgroup(host, recordOf(path)).kill(),
  freeze: (path) => openCgroup(host, recordOf(path)).freeze(),
  remove: (path) => openCgroup(host, recordOf(path)).remove(),
  'remove what is below': (path) => openCgroup(host, { ...recordOf(path), made: [] }).remove(),
};

const recordOf = (path: string) => ({ driver: 'cgroupfs', path, made: [path] }) as const;

/** The errno that a deed was refused with. */
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => ({ code: 'it worked' }),
    (reason: { code: string; cause?: { code: string } }) => reason,
  );
  return (error as { cause?: { code: string } }).cause?.code ?? error.code;
}

const refusals = async (path: string): Promise<Record<string, string>> => {
  const found: Record<string, string> = {};
  for (const [name, deed] of Object.entries(deeds)) found[name] = await refusal(deed(path));
  return found;
};

const all = (errno: string) => Object.fromEntries(Object.keys(deeds).map((name) => [name, errno]));

describe('what only has the name of a cgroup', () => {
  attackIf('is left alone: a directory that is of another file system', async () => {
    const path = canary();
    const before = stateOf(path);
    expect(await refusals(path)).toEqual(all('EXDEV'));
    expect(stateOf(path)).toEqual(before);
  });

  attackIf('is left alone: one that was mounted over a cgroup, and what it has links to', async () => {
    const top = cgroupDirectory();
    const target = canary();
    const before = stateOf(target);
    mount('--bind', target, top);
    expect(await refusals(top)).toEqual(all('EXDEV'));
    fs.symlinkSync(target, join(target, 'link'));
    expect(new Set(Object.values(await refusals(join(top, 'link'))))).toEqual(new Set(['EXDEV']));
    fs.unlinkSync(join(target, 'link'));
    expect(stateOf(target)).toEqual(before);
  });

  attackIf('is left alone: a cgroup of others that was mounted over it', async () => {
    const top = cgroupDirectory();
    const { path, child } = victim();
    mount('--bind', path, top);
    expect(await refusals(top)).toEqual(all('EXDEV'));
    expect([child.exitCode, child.signalCode, fs.readdirSync(path).includes('made')]).toEqual([null, null, false]);
    expect(fs.readFileSync(join(path, 'cgroup.procs'), 'utf8')).toBe(`${child.pid}\n`);
  });

  attackIf('is left alone: a link to a cgroup of others', async () => {
    const { path, child } = victim();
    const link = join(canary(), 'link');
    fs.symlinkSync(path, link);
    expect(await refusals(link)).toEqual(all('ELOOP'));
    expect(await refusals(`/proc/self/cwd${path}`)).toEqual(all('ELOOP'));
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
  });

  attackIf('is left alone: one that climbs, in whatever form', async () => {
    const { path, child } = victim();
    const own = cgroupDirectory();
    const name = path.slice(root.length + 1);
    const climbing = [
      `${own}/../${name}`,
      `${own}/.././${name}`,
      `${own}//../${name}`,
      `${own}/./../../${root.slice(root.lastIndexOf('/') + 1)}/${name}`,
      `${path}/.`,
      `${path}/../${name}/.`,
      `${own}\0/../${name}`,
      path.slice(1),
    ];
    for (const each of climbing) expect({ each, ...(await refusals(each)) }).toEqual({ each, ...all('EINVAL') });
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
  });
});

describe('a cgroup that is to be made', () => {
  const plan = (path: string) => ({ driver: 'cgroupfs', parent: root, path, controllers: [], writes: [] }) as const;
  const madeAt = async (path: string) => {
    const asked = plan(path);
    return makeCgroup(host, asked, await intendCgroup(host, asked));
  };

  attackIf('is refused in words where something is mounted on the way, and nothing is made there', async () => {
    const top = cgroupDirectory();
    const target = canary();
    const before = stateOf(target);
    mount('--bind', target, top);
    const asked = `${top.slice(root.length + 1)}/a/b`;
    await expect(madeAt(asked)).rejects.toMatchObject({
      message: expect.stringContaining(top),
      hint: expect.stringContaining('another mount is on the way'),
    });
    expect(stateOf(target)).toEqual(before);
  });

  attackIf('is refused where the way is exchanged after the look at it', async () => {
    const top = cgroupDirectory();
    const target = canary();
    const before = stateOf(target);
    const asked = plan(`${top.slice(root.length + 1)}/a`);
    const record = await intendCgroup(host, asked);
    mount('--bind', target, top);
    expect(await refusal(makeCgroup(host, asked, record))).toBe('EXDEV');
    expect(stateOf(target)).toEqual(before);
  });
});
