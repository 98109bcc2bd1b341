import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readlinkSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { applyCgroup } from '../../lib/host/cgroup.ts';
import type { Cgroup } from '../../lib/host/cgroups/cgroup.ts';
import { eventData } from '../../lib/host/cgroups/event-data.ts';
import { intendCgroup, makeCgroup } from '../../lib/host/cgroups/make.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { readStats } from '../../lib/host/cgroups/stats.ts';
import { updateCgroup } from '../../lib/host/cgroups/update.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createHost } from '../../lib/node/host.ts';
import type { CgroupPlan } from '../../lib/plan/plan.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const host = createHost();
const root = cgroup2Root ?? '/';
const withCgroups = testIf('root', 'cgroup2');

/** A plan below the top of the hierarchy; whatever is left of it goes after the test. */
function planned(more: Partial<CgroupPlan> = {}, below = ''): CgroupPlan {
  const top = `runts-test-${process.pid}-${randomBytes(4).toString('hex')}`;
  onTestFinished(async () => {
    await openCgroup(host, { driver: 'cgroupfs', path: join(root, top), made: [join(root, top)] }).remove();
  });
  return { driver: 'cgroupfs', parent: root, path: `${top}${below}`, controllers: [], writes: [], ...more };
}

async function made(plan: CgroupPlan): Promise<Cgroup> {
  return makeCgroup(host, plan, await intendCgroup(host, plan));
}

/** A shell that sleeps in a cgroup; how it ended. */
function inhabit(path: string): { readonly pid: number; readonly signal: Promise<string | null> } {
  const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  writeFileSync(join(path, 'cgroup.procs'), `${child.pid}`);
  return { pid: child.pid!, signal: new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal))) };
}

const read = (path: string, file: string) => readFileSync(join(path, file), 'utf8').trim();
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => 'it worked',
    (error: unknown) => error,
  );

describe('a cgroup that is made', () => {
  withCgroups('is intended first: nothing is there, and the record has every directory that will be', async () => {
    const plan = planned({}, '/a/b');
    const record = await intendCgroup(host, plan);
    const [top] = plan.path.split('/');
    expect(record).toEqual({
      driver: 'cgroupfs',
      path: `${root}/${plan.path}`,
      made: ['', '/a', '/a/b'].map((below) => `${root}/${top}${below}`),
    });
    expect(existsSync(join(root, top!))).toBe(false);
  });

  withCgroups('is gone after its removal with everything that it and its container made', async () => {
    const cgroup = await made(planned({}, '/a/b'));
    const { path } = cgroup.record;
    // Names like those of control files, too.
    for (const below of ['deep/er/and/er', 'memory.max', 'cgroup.evil/x']) {
      mkdirSync(join(path, below), { recursive: true });
    }
    const { signal } = inhabit(join(path, 'deep/er'));
    await cgroup.remove();
    expect(await signal).toBe('SIGKILL');
    expect(existsSync(dirname(dirname(path)))).toBe(false);
    await cgroup.remove();
  });

  withCgroups('leaves directories that were there, and those in which others live', async () => {
    const plan = planned({}, '/a');
    mkdirSync(join(root, plan.path), { recursive: true });
    await (await made(plan)).remove();
    expect(existsSync(join(root, plan.path))).toBe(true);
    const below = { ...plan, path: `${plan.path}/b/c` };
    const cgroup = await made(below);
    mkdirSync(join(root, plan.path, 'b/other'));
    await cgroup.remove();
    expect(existsSync(join(root, plan.path, 'b/other'))).toBe(true);
    expect(existsSync(join(root, below.path))).toBe(false);
  });

  withCgroups('is refused where processes are, where it is frozen, and where a control file is', async () => {
    const plan = planned();
    const cgroup = await made(plan);
    inhabit(cgroup.record.path);
    expect(await failureOf(intendCgroup(host, plan))).toMatchObject({
      code: 'ERR_EXISTS',
      message: expect.stringContaining("container's cgroup is not empty"),
    });
    await cgroup.kill();
    await cgroup.freeze();
    for (const path of [plan.path, `${plan.path}/x/y`]) {
      expect(await failureOf(intendCgroup(host, { ...plan, path }))).toMatchObject({
        code: 'ERR_STATE',
        message: expect.stringContaining("container's cgroup unexpectedly frozen"),
      });
    }
    await cgroup.thaw();
    expect(await failureOf(intendCgroup(host, { ...plan, path: `${plan.path}/cgroup.procs` }))).toMatchObject({
      code: 'ERR_SPEC',
    });
  });

  withCgroups('is refused below a threaded one', async () => {
    const plan = planned();
    const cgroup = await made(plan);
    mkdirSync(join(cgroup.record.path, 't'));
    writeFileSync(join(cgroup.record.path, 't/cgroup.type'), 'threaded');
    for (const below of ['t', 't/x', 'other']) {
      expect(await failureOf(intendCgroup(host, { ...plan, path: `${plan.path}/${below}` }))).toMatchObject({
        code: 'ERR_STATE',
        message: expect.stringMatching(/of the type "(domain )?threaded"/),
      });
    }
  });

  withCgroups('somebody else was faster: theirs is not touched', async () => {
    const plan = planned();
    const [one, other] = [await intendCgroup(host, plan), await intendCgroup(host, plan)];
    const cgroup = await makeCgroup(host, plan, one);
    expect(await failureOf(makeCgroup(host, plan, other))).toMatchObject({ code: 'ERR_EXISTS' });
    expect(existsSync(cgroup.record.path)).toBe(true);
  });

  withCgroups('has its limits, and one that fails leaves nothing', async () => {
    const controllers = ['hugetlb'];
    const write = (value: string, file = 'hugetlb.2MB.max') => ({
      controller: 'hugetlb',
      file,
      value,
      origin: '/linux/resources/hugepageLimits/0',
    });
    const cgroup = await made(planned({ controllers, writes: [write('4194304')] }));
    expect(read(cgroup.record.path, 'hugetlb.2MB.max')).toBe('4194304');
    const bad = planned({ controllers, writes: [write('4194304'), write('1', 'hugetlb.3MB.max')] }, '/a');
    expect(await failureOf(made(bad))).toMatchObject({
      code: 'ERR_SETUP',
      origin: '/linux/resources/hugepageLimits/0',
      message: expect.stringContaining('hugetlb.3MB.max'),
    });
    expect(existsSync(join(root, dirname(bad.path)))).toBe(false);
  });

  withCgroups('what the kernel has no file for is left out only where that loses nothing', async () => {
    const write = { file: 'cgroup.none', value: 'max', origin: '/x', optional: true };
    const depth = { file: 'cgroup.max.depth', value: '3' };
    const both = { file: 'cgroup.nothing', value: '1', origin: '/x', or: [depth] };
    const cgroup = await made(planned({ writes: [write, both] }));
    expect(read(cgroup.record.path, 'cgroup.max.depth')).toBe('3');
    expect(await failureOf(made(planned({ writes: [{ ...both, or: [] }] })))).toMatchObject({ origin: '/x' });
  });

  withCgroups('a controller that is not there is named', async () => {
    const writes = [{ controller: 'memory', file: 'memory.max', value: '1', origin: '/linux/resources/memory/limit' }];
    const error = await failureOf(made(planned({ controllers: ['hugetlb', 'nonsense'], writes }, '/a')));
    expect(error).toMatchObject({ code: 'ERR_SETUP', message: expect.stringContaining('nonsense') });
  });

  withCgroups('is given away as what is delegated, and no more', async () => {
    const cgroup = await made(planned({ owner: 4321, controllers: ['hugetlb'] }));
    const owner = (file: string) => statSync(join(cgroup.record.path, file)).uid;
    expect(['', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'].map(owner)).toEqual([
      4321, 4321, 4321, 4321,
    ]);
    expect(['cgroup.kill', 'cgroup.freeze', 'cgroup.max.depth', 'hugetlb.2MB.max'].map(owner)).toEqual([0, 0, 0, 0]);
    expect(statSync(cgroup.record.path).gid).toBe(0);
  });

  withCgroups('many at once, made and removed below one directory, do not disturb each other', async () => {
    const plan = planned({ controllers: ['hugetlb'] }, '/shared');
    const makeOne = async (id: number) => {
      const one = { ...plan, path: `${plan.path}/${id}` };
      const cgroup = await applyCgroup(host, one, await intendCgroup(host, one));
      expect(existsSync(`${cgroup.path}/hugetlb.2MB.max`)).toBe(true);
      await cgroup.remove();
    };
    for (let round = 0; round < 10; round++) await Promise.all([1, 2, 3, 4, 5, 6].map(makeOne));
    expect(existsSync(join(root, plan.path, '1'))).toBe(false);
  });
});

describe('the life of a cgroup', () => {
  withCgroups('its processes are those in it and below it, and all of them are killed', async () => {
    const cgroup = await made(planned());
    const { path } = cgroup.record;
    mkdirSync(join(path, 'a/b'), { recursive: true });
    const all = [inhabit(path), inhabit(join(path, 'a')), inhabit(join(path, 'a/b'))];
    expect((await cgroup.processes()).sort()).toEqual(all.map(({ pid }) => pid).sort());
    await cgroup.kill();
    expect(await Promise.all(all.map(({ signal }) => signal))).toEqual(['SIGKILL', 'SIGKILL', 'SIGKILL']);
    expect(await cgroup.processes()).toEqual([]);
  });

  withCgroups('a process can be moved into it', async () => {
    const cgroup = await made(planned());
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    await cgroup.enter(child.pid!);
    expect(await cgroup.processes()).toEqual([child.pid]);
  });

  withCgroups('its handle is for it or for a cgroup below it, whatever the path says', async () => {
    const cgroup = await made(planned());
    const { path } = cgroup.record;
    mkdirSync(join(path, 'sub'));
    const where = async (below?: string) => {
      const handle = await cgroup.open(below);
      const { fd } = handle as unknown as { readonly fd: number };
      const at = readlinkSync(`/proc/self/fd/${fd}`);
      handle.close();
      return at;
    };
    expect([await where(), await where('..'), await where('/')]).toEqual([path, path, path]);
    for (const below of ['sub', '/sub/', '../../sub', './x/../sub']) expect(await where(below)).toBe(`${path}/sub`);
    expect(await failureOf(cgroup.open('none'))).toMatchObject({ message: expect.stringContaining('ENOENT') });
  });

  withCgroups('frozen it stands still, thawed it goes on, and frozen it can be killed', async () => {
    const cgroup = await made(planned());
    const { path } = cgroup.record;
    const child = spawn('sh', ['-c', 'while :; do :; done'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const ended = new Promise((resolve) => child.once('exit', (_, signal) => resolve(signal)));
    await cgroup.enter(child.pid!);
    const used = () => readFileSync(`/proc/${child.pid}/stat`, 'utf8').split(' ').slice(13, 15).join();
    await cgroup.freeze();
    expect([await cgroup.isFrozen(), read(path, 'cgroup.freeze')]).toEqual([true, '1']);
    const before = used();
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(used()).toBe(before);
    await cgroup.thaw();
    expect(await cgroup.isFrozen()).toBe(false);
    await vi.waitFor(() => expect(used()).not.toBe(before), 5000);
    await cgroup.freeze();
    await cgroup.remove();
    expect(await ended).toBe('SIGKILL');
    expect([existsSync(path), await cgroup.isFrozen()]).toEqual([false, false]);
    expect(await failureOf(cgroup.freeze())).toMatchObject({ message: expect.stringContaining('freeze') });
  });

  withCgroups('without cgroup.kill, each process is signalled while nothing can fork', async () => {
    const cgroup = await made(planned());
    const { path } = cgroup.record;
    mkdirSync(join(path, 'a'));
    const all = [inhabit(path), inhabit(join(path, 'a'))];
    const missing = Object.assign(new Error('no such file'), { code: 'ENOENT' });
    const old = {
      ...host,
      cgroups: {
        ...host.cgroups,
        write: (file: string, text: string) =>
          file.endsWith('/cgroup.kill') ? Promise.reject(missing) : host.cgroups.write(file, text),
      },
    };
    await openCgroup(old, cgroup.record).kill();
    expect(await Promise.all(all.map(({ signal }) => signal))).toEqual(['SIGKILL', 'SIGKILL']);
    expect(read(path, 'cgroup.freeze')).toBe('0');
  });
});

describe('figures and changes', () => {
  withCgroups('tell the time of processors, pressure and huge pages', async () => {
    const cgroup = await made(planned({ controllers: ['hugetlb'] }));
    const child = spawn('sh', ['-c', 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; sleep 1000']);
    onTestFinished(() => void child.kill('SIGKILL'));
    await cgroup.enter(child.pid!);
    await vi.waitFor(async () => {
      const { cpu } = await readStats(host, cgroup.record);
      expect(cpu.usage).toBeGreaterThan(10_000_000n);
    }, 10_000);
    const stats = await readStats(host, cgroup.record);
    expect(stats.cpu.user + stats.cpu.system).toBeGreaterThan(0n);
    expect(stats.cpu.pressure?.some?.total).toBeTypeOf('bigint');
    expect(stats.hugetlb['2MB']).toMatchObject({ usage: 0n, failures: 0n });
    expect(eventData(stats)).toMatchObject({
      cpu: { usage: { total: expect.any(BigInt) } },
      hugetlb: { '2MB': { failcnt: 0n } },
    });
    await cgroup.remove();
    expect(await failureOf(readStats(host, cgroup.record))).toMatchObject({ code: 'ERR_STATE' });
  });

  withCgroups(
    'a change gives a controller that was not there, and a refused one takes back what came before',
    async () => {
      const cgroup = await made(planned());
      const { path } = cgroup.record;
      const facts = await probeFacts(host);
      const hugepageLimits = (limit: number) => [{ pageSize: '2MB', limit }];
      await updateCgroup(host, cgroup.record, { hugepageLimits: hugepageLimits(2 ** 21) }, facts);
      expect(read(path, 'hugetlb.2MB.max')).toBe(`${2 ** 21}`);
      const unified = { 'hugetlb.2MB.rsvd.max': 'nonsense' };
      const error = await failureOf(
        updateCgroup(host, cgroup.record, { hugepageLimits: hugepageLimits(2 ** 22), unified }, facts),
      );
      expect(error).toMatchObject({ origin: '/unified/hugetlb.2MB.rsvd.max' });
      expect(read(path, 'hugetlb.2MB.max')).toBe(`${2 ** 21}`);
      const missing = updateCgroup(host, cgroup.record, { hugepageLimits: [{ pageSize: '3MB', limit: 0 }] }, facts);
      expect(await failureOf(missing)).toMatchObject({ code: 'ERR_UNSUPPORTED', origin: '/hugepageLimits/0' });
    },
  );

  withCgroups('a change that needs a controller which cgroup v1 has names both', async () => {
    const facts = await probeFacts(host);
    const { path } = (await made(planned())).record;
    const cgroup = { ...facts.cgroup, controllers: [], legacy: ['rdma'] };
    const change = updateCgroup(
      host,
      { driver: 'cgroupfs', path, made: [] },
      { rdma: { mlx: { hcaHandles: 1 } } },
      { ...facts, cgroup },
    );
    expect(await failureOf(change)).toMatchObject({
      origin: '/rdma/mlx',
      message: expect.stringContaining('`rdma` is not available: it belongs to cgroup v1'),
    });
  });

  withCgroups('a change of what is gone says so', async () => {
    const cgroup = await made(planned());
    rmdirSync(cgroup.record.path);
    const change = updateCgroup(host, cgroup.record, { pids: { limit: 1 } }, await probeFacts(host));
    expect(await failureOf(change)).toMatchObject({ code: 'ERR_STATE' });
  });
});
