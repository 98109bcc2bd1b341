import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, onTestFinished, vi } from 'vitest';
import { cgroupPlan } from '../../lib/cgroups/writes.ts';
import type { Cgroup } from '../../lib/host/cgroups/cgroup.ts';
import { eventData } from '../../lib/host/cgroups/event-data.ts';
import { intendCgroup, makeCgroup } from '../../lib/host/cgroups/make.ts';
import { watchOom } from '../../lib/host/cgroups/oom.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { readStats } from '../../lib/host/cgroups/stats.ts';
import { updateCgroup } from '../../lib/host/cgroups/update.ts';
import { examine } from '../../lib/host/doctor.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { createHost } from '../../lib/node/host.ts';
import type { CgroupPlan } from '../../lib/plan/plan.ts';
import type { Resources } from '../../lib/spec/types.ts';
import { testIf } from '../support/requires.ts';

const host = createHost();
const inVm = testIf('vm');
const root = process.getuid?.() === 0;
/** For one of the two who run these tests; the other has not even a skipped one. */
const when =
  (it: boolean) =>
  (name: string, work: () => Promise<void>): void => {
    if (it) inVm(name, work);
  };
const asRoot = when(root);
const asUser = when(!root);

const read = (path: string, file: string) => readFileSync(join(path, file), 'utf8').trim();
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => 'it worked',
    (error: unknown) => error,
  );

/** From a configuration to a cgroup, as `create` does it. */
async function planned(resources: Resources, cgroupsPath?: string): Promise<CgroupPlan> {
  const linux = { namespaces: [], resources, ...(cgroupsPath !== undefined && { cgroupsPath }) };
  const id = `runts-test-${randomBytes(4).toString('hex')}`;
  return cgroupPlan(linux, await probeFacts(host), id, { always: true })!;
}

async function made(resources: Resources, cgroupsPath?: string): Promise<Cgroup> {
  const plan = await planned(resources, cgroupsPath);
  const cgroup = await makeCgroup(host, plan, await intendCgroup(host, plan));
  onTestFinished(() => cgroup.remove());
  return cgroup;
}

function run(script: string): ChildProcess {
  const child = spawn('sh', ['-c', script], { stdio: 'ignore' });
  onTestFinished(() => void child.kill('SIGKILL'));
  return child;
}

const change = async ({ record }: Cgroup, resources: Resources) =>
  updateCgroup(host, record, resources, await probeFacts(host));

describe('facts', () => {
  asRoot('root makes cgroups at the top, with every controller', async () => {
    const { cgroup } = await probeFacts(host);
    expect(cgroup).toMatchObject({ mode: 'unified', mount: '/sys/fs/cgroup', parent: '/sys/fs/cgroup', legacy: [] });
    expect(cgroup.controllers).toEqual(expect.arrayContaining(['cpu', 'cpuset', 'io', 'memory', 'pids']));
  });

  asUser('a user makes them below what is delegated, which we are in', async () => {
    const { cgroup } = await probeFacts(host);
    expect(cgroup).toMatchObject({ mode: 'unified', occupied: false, legacy: [] });
    expect(cgroup.own).toMatch(`${cgroup.parent}/`);
    expect(statSync(cgroup.parent!).uid).toBe(process.getuid?.());
    expect(cgroup.controllers).toEqual(expect.arrayContaining(['cpu', 'cpuset', 'io', 'memory', 'pids']));
    const found = (await examine(host)).find(({ name }) => name === 'cgroup v2');
    expect(found).toMatchObject({ ok: true, detail: expect.stringContaining(cgroup.parent!) });
  });
});

/** A whole block device: io.max takes no other. */
const disk = () => {
  const [major = 0, minor = 0] = readFileSync('/sys/class/block/vda/dev', 'utf8').split(':').map(Number);
  return { major, minor };
};

describe('files', () => {
  inVm('every limit is in the file that is for it', async () => {
    const resources: Resources = {
      memory: { limit: 64 * 2 ** 20, swap: 96 * 2 ** 20, reservation: 2 ** 20 },
      cpu: { shares: 1024, quota: 50_000, period: 200_000, burst: 10_000, cpus: '0-1', mems: '0' },
      pids: { limit: 20 },
      blockIO: {
        throttleReadBpsDevice: [{ ...disk(), rate: 2 ** 20 }],
        throttleWriteIOPSDevice: [{ ...disk(), rate: 99 }],
      },
      unified: { 'memory.high': `${48 * 2 ** 20}`, 'cgroup.max.depth': '7' },
    };
    const { path } = (await made(resources)).record;
    const { major, minor } = disk();
    expect(
      Object.fromEntries(
        ['memory.max', 'memory.swap.max', 'memory.low', 'memory.high', 'cpu.weight', 'cpu.max', 'cpu.max.burst']
          .concat(['cpuset.cpus', 'cpuset.mems', 'pids.max', 'io.max', 'cgroup.max.depth'])
          .map((file) => [file, read(path, file)]),
      ),
    ).toEqual({
      'memory.max': '67108864',
      'memory.swap.max': '33554432',
      'memory.low': '1048576',
      'memory.high': '50331648',
      'cpu.weight': '100',
      'cpu.max': '50000 200000',
      'cpu.max.burst': '10000',
      'cpuset.cpus': '0-1',
      'cpuset.mems': '0',
      'pids.max': '20',
      'io.max': `${major}:${minor} rbps=1048576 wbps=max riops=max wiops=99`,
      'cgroup.max.depth': '7',
    });
  });

  inVm('without any limit it counts all the same', async () => {
    const { path } = (await made({})).record;
    for (const file of ['memory.current', 'pids.current', 'io.stat', 'cpu.max'])
      expect(existsSync(join(path, file))).toBe(true);
  });

  inVm('the kernel refuses a value: the field is named, and nothing is left', async () => {
    const plan = await planned({ cpu: { cpus: '4095' }, pids: { limit: 5 } });
    const error = await failureOf(intendCgroup(host, plan).then((record) => makeCgroup(host, plan, record)));
    expect(error).toMatchObject({ code: 'ERR_SETUP', origin: '/linux/resources/cpu/cpus' });
    expect(existsSync(`${plan.parent}/${plan.path}`)).toBe(false);
    const part = await planned({ blockIO: { throttleReadBpsDevice: [{ major: 250, minor: 77, rate: 1 }] } });
    expect(await failureOf(intendCgroup(host, part).then((record) => makeCgroup(host, part, record)))).toMatchObject({
      origin: '/linux/resources/blockIO/throttleReadBpsDevice/0',
      hint: expect.stringContaining('whole disks'),
    });
  });

  inVm('a weight of block devices is set where a scheduler knows one, or refused by name', async () => {
    const outcome = await made({ blockIO: { weight: 500 } }).catch((error: unknown) => error);
    const { record } = outcome as Cgroup;
    if (record === undefined) expect(outcome).toMatchObject({ origin: '/linux/resources/blockIO/weight' });
    else expect(['io.weight', 'io.bfq.weight'].filter((file) => existsSync(join(record.path, file)))).not.toEqual([]);
  });

  inVm('directories on the way get the controllers, too, and go with the last', async () => {
    const cgroup = await made({ pids: { limit: 5 }, cpu: { cpus: '0' } }, 'runts-test-shared/a/b');
    const { path, made: directories } = cgroup.record;
    expect(directories.length).toBe(3);
    expect(read(path, 'cpuset.cpus')).toBe('0');
    expect(read(directories[0]!, 'cgroup.subtree_control')).toContain('cpuset');
    await cgroup.remove();
    expect(existsSync(directories[0]!)).toBe(false);
  });

  asUser('an absolute place of somebody else is refused, with the cure', async () => {
    const plan = await planned({}, '/runts-test-not-mine');
    const error = await failureOf(intendCgroup(host, plan).then((record) => makeCgroup(host, plan, record)));
    expect(error).toMatchObject({
      message: expect.stringMatching(/unable to apply cgroup configuration: .*permission denied/),
      hint: expect.stringContaining('Delegate=yes'),
    });
  });

  inVm('a cgroup with processes of its own gives no controllers: nobody is moved, and the error says so', async () => {
    const outer = await made({});
    const child = run('exec sleep 1000');
    await outer.enter(child.pid!);
    const facts = await probeFacts(host);
    const plan = { ...(await planned({ memory: { limit: 2 ** 24 } })), parent: outer.record.path, path: 'inner' };
    const error = await failureOf(intendCgroup(host, plan).then((record) => makeCgroup(host, plan, record)));
    expect(error).toMatchObject({
      origin: '/linux/resources/memory/limit',
      hint: expect.stringContaining('no internal processes'),
    });
    expect(await outer.processes()).toEqual([child.pid]);
    expect(facts.cgroup.occupied).toBe(false);
  });

  asRoot(
    'the top of a cgroup namespace has processes, and a type, which the real top has not: by that facts tell them apart',
    async () => {
      const inside = 'cat /proc/self/cgroup; grep -c . /sys/fs/cgroup/cgroup.procs; ls /sys/fs/cgroup/cgroup.type';
      const script = `mkdir /sys/fs/cgroup/runts-test-ns && echo $$ > /sys/fs/cgroup/runts-test-ns/cgroup.procs
      exec unshare -C -m sh -c 'umount /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup; ${inside}'`;
      const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
      expect(stdout).toMatch(/0::\/\n[1-9]\d*\n\/sys\/fs\/cgroup\/cgroup.type/);
      await openCgroup(host, {
        driver: 'cgroupfs',
        path: '/sys/fs/cgroup/runts-test-ns',
        made: ['/sys/fs/cgroup/runts-test-ns'],
      }).remove();
    },
  );
});

describe('a change', () => {
  inVm('of some limits leaves the others', async () => {
    const cgroup = await made({
      memory: { limit: 2 ** 26, swap: 2 ** 27 },
      cpu: { quota: 50_000 },
      pids: { limit: 9 },
    });
    const { path } = cgroup.record;
    await change(cgroup, { cpu: { period: 20_000 } });
    expect(read(path, 'cpu.max')).toBe('50000 20000');
    await change(cgroup, { cpu: { quota: 10_000, burst: 5000 } });
    expect([read(path, 'cpu.max'), read(path, 'cpu.max.burst')]).toEqual(['10000 20000', '5000']);
    // Below the old burst, and beyond the old quota.
    await change(cgroup, { cpu: { quota: 4000, burst: 1000 } });
    await change(cgroup, { cpu: { quota: 90_000, burst: 80_000 } });
    expect([read(path, 'cpu.max'), read(path, 'cpu.max.burst')]).toEqual(['90000 20000', '80000']);
    expect([read(path, 'memory.max'), read(path, 'pids.max')]).toEqual([`${2 ** 26}`, '9']);
    await change(cgroup, { memory: { swap: 2 ** 26 + 4096 }, pids: { limit: -1 } });
    expect([read(path, 'memory.swap.max'), read(path, 'pids.max')]).toEqual(['4096', 'max']);
    await change(cgroup, { memory: { limit: -1 } });
    expect([read(path, 'memory.swap.max'), read(path, 'memory.max')]).toEqual(['max', 'max']);
    await change(cgroup, { pids: { limit: 0 } });
    expect(read(path, 'pids.max')).toBe('0');
  });

  inVm('to idle and back', async () => {
    const cgroup = await made({ cpu: { shares: 2048 } });
    const { path } = cgroup.record;
    const weight = read(path, 'cpu.weight');
    await change(cgroup, { cpu: { idle: 1 } });
    expect(read(path, 'cpu.idle')).toBe('1');
    await change(cgroup, { cpu: { idle: 0, shares: 2048 } });
    expect([read(path, 'cpu.idle'), read(path, 'cpu.weight')]).toEqual(['0', weight]);
  });

  inVm('gives a running container a controller that it had not', async () => {
    const cgroup = await made({}, `runts-test-${randomBytes(4).toString('hex')}/inner`);
    expect(existsSync(join(cgroup.record.path, 'cpuset.cpus'))).toBe(false);
    await cgroup.enter(run('exec sleep 1000').pid!);
    await change(cgroup, { cpu: { cpus: '1' } });
    expect(read(cgroup.record.path, 'cpuset.cpus')).toBe('1');
  });

  inVm('that fails half-way is taken back', async () => {
    const cgroup = await made({ memory: { limit: 2 ** 26 }, pids: { limit: 9 }, cpu: { cpus: '0' } });
    const error = await failureOf(
      change(cgroup, { memory: { limit: 2 ** 27 }, cpu: { cpus: '4095' }, pids: { limit: 5 } }),
    );
    expect(error).toMatchObject({ origin: '/cpu/cpus' });
    const { path } = cgroup.record;
    expect([read(path, 'memory.max'), read(path, 'cpuset.cpus'), read(path, 'pids.max')]).toEqual([
      `${2 ** 26}`,
      '0',
      '9',
    ]);
  });

  inVm('below what is used is refused for who asks for that', async () => {
    const cgroup = await made({});
    const child = run('head -c 20000000 /dev/zero | tail -c 20000000 | sleep 1000');
    await cgroup.enter(child.pid!);
    const { path } = cgroup.record;
    // It reads before it moves, perhaps: whatever it uses is more than a page.
    await vi.waitFor(() => expect(Number(read(path, 'memory.current'))).toBeGreaterThan(8192), 20_000);
    const limit = { limit: 4096, checkBeforeUpdate: true };
    expect(await failureOf(change(cgroup, { memory: limit }))).toMatchObject({
      origin: '/memory/limit',
      message: expect.stringContaining('rejecting memory limit 4096'),
    });
    expect(read(path, 'memory.max')).toBe('max');
    expect(
      await failureOf(change(cgroup, { memory: { limit: 4096, swap: 4097, checkBeforeUpdate: true } })),
    ).toBeInstanceOf(Error);
  });
});

describe('figures', () => {
  inVm('are all there', async () => {
    const cgroup = await made({ memory: { limit: 2 ** 27 }, pids: { limit: 30 } });
    const script = 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 1000';
    await cgroup.enter(run(script).pid!);
    await vi.waitFor(async () => {
      const { cpu, memory } = await readStats(host, cgroup.record);
      expect(cpu.usage > 0n && (memory?.usage ?? 0n) > 0n).toBe(true);
    }, 20_000);
    const stats = await readStats(host, cgroup.record);
    expect(stats.memory).toMatchObject({ limit: 2n ** 27n, events: { oom_kill: 0n } });
    expect(stats.memory?.stat['anon']).toBeTypeOf('bigint');
    expect(stats.pids).toEqual({ current: expect.any(BigInt), limit: 30n });
    expect(stats.io?.devices).toBeInstanceOf(Array);
    for (const pressure of [stats.cpu.pressure, stats.memory?.pressure, stats.io?.pressure])
      expect(pressure?.some?.total).toBeTypeOf('bigint');
    expect(eventData(stats)).toMatchObject({
      cpu: { usage: { total: expect.any(BigInt) }, psi: { some: { avg10: expect.any(Number) } } },
      memory: { usage: { limit: 2n ** 27n }, swap: { limit: 2n ** 64n - 1n }, raw: { anon: expect.any(BigInt) } },
      pids: { limit: 30n },
      blkio: { ioServiceBytesRecursive: expect.any(Array) },
    });
  });

  inVm(
    'say when memory ran out, and when it is over',
    async () => {
      const cgroup = await made({ memory: { limit: 12 * 2 ** 20, swap: 12 * 2 ** 20 } });
      const child = spawn('sh', ['-c', 'read x; tail /dev/zero; sleep 1000'], { stdio: ['pipe', 'ignore', 'ignore'] });
      onTestFinished(() => void child.kill('SIGKILL'));
      await cgroup.enter(child.pid!);
      const watch = await watchOom(host, cgroup.record);
      onTestFinished(() => watch.close());
      child.stdin?.write('\n');
      expect(await watch.next()).toBe('oom');
      await cgroup.kill();
      expect(await watch.next()).toBeUndefined();
      expect((await readStats(host, cgroup.record)).memory?.events['oom_kill']).toBe(1n);
    },
    60_000,
  );
});

describe('freezing', () => {
  inVm('stops what runs, and ends by thawing or by killing', async () => {
    const cgroup = await made({});
    const { path } = cgroup.record;
    mkdirSync(join(path, 'below'));
    await cgroup.enter(run('while :; do :; done').pid!);
    await cgroup.freeze();
    expect(await cgroup.isFrozen()).toBe(true);
    const usage = async () => (await readStats(host, cgroup.record)).cpu.usage;
    const before = await usage();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await usage()).toBe(before);
    await cgroup.thaw();
    await vi.waitFor(async () => expect(await usage()).toBeGreaterThan(before), 10_000);
    await cgroup.freeze();
    await cgroup.remove();
    expect(existsSync(path)).toBe(false);
  });
});
