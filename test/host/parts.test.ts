import { describe, expect, test } from 'vitest';
import type { RuntsError } from '../../lib/errors.ts';
import { type AppliedCgroup, applyCgroup } from '../../lib/host/cgroup.ts';
import { intendCgroup } from '../../lib/host/cgroups/make.ts';
import { examine } from '../../lib/host/doctor.ts';
import type { Host } from '../../lib/host/host.ts';
import { writeMaps } from '../../lib/host/maps.ts';
import { probeFacts } from '../../lib/host/probe.ts';
import { reserve } from '../../lib/host/state.ts';
import type { CgroupPlan, Maps } from '../../lib/plan/plan.ts';
import { Sim } from '../support/sim.ts';
import { cgroupRoot } from '../support/sim-files.ts';
import { failure } from './plans.ts';

const applied = async (host: Host, plan: CgroupPlan): Promise<AppliedCgroup> =>
  applyCgroup(host, plan, await intendCgroup(host, plan));

const hidden = '/sys/fs/cgroup';
const unified = '25 1 0:20 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n';

describe('a cgroup', () => {
  const plan = (path: string, more: Partial<CgroupPlan> = {}): CgroupPlan => ({
    driver: 'cgroupfs',
    parent: cgroupRoot,
    path,
    controllers: ['pids'],
    writes: [{ file: 'pids.max', value: '5', origin: '/linux/resources/pids' }],
    ...more,
  });

  test('has its controllers enabled on the way, but not in itself', async () => {
    const sim = new Sim();
    const cgroup = await sim.run(applied(sim.host, plan('a/b/c')));
    const enabled = ['', '/a', '/a/b', '/a/b/c'].map((p) => sim.tree.read(`${cgroupRoot}${p}/cgroup.subtree_control`));
    expect(enabled).toEqual(['pids', 'pids', 'pids', '']);
    await sim.run(cgroup.remove());
    expect(sim.leaks()).toEqual([]);
  });

  test('takes along the cgroups that the container made in it', async () => {
    const sim = new Sim();
    const cgroup = await sim.run(applied(sim.host, plan('a')));
    for (const path of ['/a/inner.slice', '/a/inner.slice/deep']) sim.tree.makeDirectory(cgroupRoot + path);
    await sim.run(cgroup.remove());
    expect(sim.leaks()).toEqual([]);
  });

  test('leaves a directory to the others that live below it', async () => {
    const sim = new Sim();
    const first = await sim.run(applied(sim.host, plan('runts/one')));
    const second = await sim.run(applied(sim.host, plan('runts/two')));
    await sim.run(first.remove());
    expect(sim.tree.kind(`${cgroupRoot}/runts/two`)).toBe('directory');
    await sim.run(second.remove());
    // Whoever made it tried to remove it while it was in use: it stays, empty.
    expect(sim.tree.list(`${cgroupRoot}/runts`).filter((name) => !name.includes('.'))).toEqual([]);
  });

  test('many at once, made and removed, do not disturb each other', async () => {
    for (let seed = 1; seed <= 60; seed++) {
      const sim = new Sim({ seed });
      const one = async (id: number) => (await applied(sim.host, plan(`runts/${id}`))).remove();
      await sim.run(Promise.all([1, 2, 3, 4].map(one)));
      expect({ seed, leaks: sim.leaks().filter((leak) => /runts\/\d/.test(leak)) }).toEqual({ seed, leaks: [] });
    }
  });

  test('is refused when somebody lives in it', async () => {
    const sim = new Sim();
    sim.tree.makeDirectory(`${cgroupRoot}/a`);
    const handle = await sim.run(sim.host.files.open(`${cgroupRoot}/a`, 'directory'));
    await sim.run(sim.host.processes.spawn({ flags: 0, cgroup: handle }));
    expect(await sim.run(failure(applied(sim.host, plan('a'))))).toMatchObject({ code: 'ERR_EXISTS' });
    expect(sim.tree.kind(`${cgroupRoot}/a`)).toBe('directory');
  });

  test('names the limit that was refused, its origin and a cure', async () => {
    const sim = new Sim();
    const writes = [{ file: 'io.max', value: '8:0 rbps=1', origin: '/linux/resources/blockIO' }];
    const error = (await sim.run(failure(applied(sim.host, plan('a', { writes }))))) as RuntsError;
    expect(error.message).toContain('cannot write "8:0 rbps=1" to io.max of the cgroup: ENOENT');
    expect(error).toMatchObject({ origin: '/linux/resources/blockIO', hint: expect.stringContaining('controller') });
    expect(sim.leaks()).toEqual([]);
  });

  test('stays below its parent', async () => {
    const sim = new Sim();
    for (const path of ['../x', 'a//b', '', 'a/.']) {
      const error = await sim.run(failure(applied(sim.host, plan(path, { controllers: [] }))));
      expect(error).toMatchObject({ code: 'ERR_INTERNAL' });
    }
    expect(sim.leaks()).toEqual([]);
  });
});

describe('id maps', () => {
  const maps: Maps = {
    uids: [{ container: 0, host: 1000, size: 1 }],
    gids: [{ container: 0, host: 1000, size: 1 }],
    setgroups: 'deny',
    by: 'write',
    origin: '/linux/uidMappings',
  };
  const files = { '/proc/9/setgroups': '', '/proc/9/uid_map': '', '/proc/9/gid_map': '' };

  test('are written in one write each, after setgroups', async () => {
    const sim = new Sim({ files });
    await sim.run(writeMaps(sim.host, 9, maps));
    expect(sim.calls).toEqual(['write /proc/9/setgroups', 'write /proc/9/uid_map', 'write /proc/9/gid_map']);
    expect(sim.tree.read('/proc/9/uid_map')).toBe('0 1000 1\n');
  });

  test('by newuidmap: its words are in the error, with the cure', async () => {
    const stderr = 'newuidmap: uid range [1-65537) -> [100000-165536) not allowed\n';
    const sim = new Sim({
      files,
      runs: (file) => ({ code: file.includes('uid') ? 1 : 0, timedOut: false, stdout: '', stderr }),
    });
    const error = await sim.run(failure(writeMaps(sim.host, 9, { ...maps, by: 'newuidmap' })));
    expect(error).toMatchObject({
      code: 'ERR_SETUP',
      origin: '/linux/uidMappings',
      hint: expect.stringContaining('/etc/subuid'),
    });
    expect((error as Error).message).toBe(`newuidmap failed with exit code 1: ${stderr.trim()}`);
  });

  test('without newuidmap on the host are refused', async () => {
    const sim = new Sim({ files, environment: { programs: {} } });
    const error = await sim.run(failure(writeMaps(sim.host, 9, { ...maps, by: 'newuidmap' })));
    expect(error).toMatchObject({ code: 'ERR_UNSUPPORTED' });
  });
});

describe('facts', () => {
  const subordinate = {
    '/etc/subuid': 'ann:100000:65536\n1000:300000:10\nbob:1:1\nruntsx:5:5\nrunts:500000:65536\n',
    '/etc/subgid': 'ann:200000:65536\n',
  };
  const self = { '/proc/self/uid_map': '0 0 4294967295\n', '/proc/self/gid_map': '0 0 4294967295\n' };

  test('an ordinary user has the ranges by name and by number, when there is a way to map them', async () => {
    const files = { ...subordinate, ...self };
    const sim = new Sim({ files });
    const { subordinate: found } = await sim.run(probeFacts(sim.host));
    expect(found.uids).toEqual([
      { start: 100000, count: 65536 },
      { start: 300000, count: 10 },
    ]);
    expect(found.gids).toEqual([{ start: 200000, count: 65536 }]);
    const without = new Sim({ files, environment: { programs: { newuidmap: '/usr/bin/newuidmap' } } });
    expect((await without.run(probeFacts(without.host))).subordinate).toEqual({ uids: [], gids: [] });
  });

  test('root has those of the accounts that exist for it; inside a user namespace only what is mapped there', async () => {
    const environment = { uid: 0, privileged: true, userName: 'root' };
    const sim = new Sim({ files: { ...subordinate, ...self }, environment });
    expect((await sim.run(probeFacts(sim.host))).subordinate.uids).toEqual([{ start: 500000, count: 65536 }]);
    const files = { ...subordinate, ...self, '/proc/self/uid_map': '0 1000 1\n500100 7 50\n565530 90 100\n' };
    const nested = new Sim({ files, environment });
    expect((await nested.run(probeFacts(nested.host))).subordinate.uids).toEqual([
      { start: 500100, count: 50 },
      { start: 565530, count: 6 },
    ]);
  });

  test('what is mounted over parts of /proc is known, but not what stands on a place for mounts', async () => {
    const line = (path: string) => `30 29 0:25 / ${path} rw - tmpfs tmpfs rw\n`;
    const mountinfo = ['/proc', '/proc/keys', '/proc/sys/fs/binfmt_misc', '/proc/a\\040b', '/process']
      .map(line)
      .join('');
    const sim = new Sim({ files: { ...self, '/proc/self/mountinfo': mountinfo } });
    expect((await sim.run(probeFacts(sim.host))).hiddenProc).toEqual(['/proc/keys', '/proc/a b']);
    const open = new Sim({ files: { ...self, '/proc/self/mountinfo': line('/proc') } });
    expect((await open.run(probeFacts(open.host))).hiddenProc).toBeUndefined();
  });

  test('cgroups go below the topmost directory that is delegated', async () => {
    const service = `${hidden}/user.slice/user@1000.service`;
    const files = {
      '/proc/self/mountinfo': unified,
      '/proc/self/cgroup': '0::/user.slice/user@1000.service/app.slice\n',
    };
    const sim = new Sim({ files });
    for (const path of [`${hidden}/user.slice`, service, `${service}/app.slice`]) sim.tree.makeDirectory(path);
    sim.tree.entries.set(`${service}/cgroup.controllers`, 'memory pids');
    sim.tree.canWrite = (path) => path.startsWith(service);
    const { cgroup } = await sim.run(probeFacts(sim.host));
    expect(cgroup).toEqual({
      mode: 'unified',
      mount: hidden,
      own: `${service}/app.slice`,
      parent: service,
      controllers: ['memory', 'pids'],
      occupied: false,
      legacy: [],
    });
    // A directory with processes cannot give its children more than it does.
    sim.tree.entries.set(`${service}/cgroup.procs`, '77\n');
    expect((await sim.run(probeFacts(sim.host))).cgroup).toMatchObject({ controllers: [], occupied: true });
  });

  test.each([
    [
      'hybrid',
      '31 1 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n26 1 0:3 / /sys/fs/cgroup rw - cgroup2 x rw\n',
    ],
    ['unified', unified],
    ['legacy', '31 1 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n'],
    ['none', '31 1 0:2 / / rw - ext4 /dev/x rw\n'],
  ])('a %s host is known as one', async (mode, mountinfo) => {
    const files = { '/proc/self/mountinfo': mountinfo, '/proc/self/cgroup': '0::/\n' };
    const sim = new Sim({ files, environment: { uid: 0 } });
    const { cgroup } = await sim.run(probeFacts(sim.host));
    expect(cgroup.mode).toBe(mode);
    expect(cgroup.parent).toBe(mode === 'hybrid' || mode === 'unified' ? hidden : undefined);
    expect(sim.leaks()).toEqual([]);
  });

  test('the top level of the host: directories and links', async () => {
    const sim = new Sim({ files: { '/usr': null, '/bin': { link: 'usr/bin' }, '/etc': null, '/opt': 'a file' } });
    const { hostRoot } = await sim.run(probeFacts(sim.host));
    expect(hostRoot).toEqual({ usr: 'directory', bin: { link: 'usr/bin' }, etc: 'directory' });
  });
});

describe('the doctor', () => {
  const files = {
    '/proc/self/mountinfo': unified,
    '/proc/self/cgroup': '0::/\n',
    '/etc/subuid': 'ann:1:9\n',
    '/etc/subgid': 'ann:1:9\n',
  };

  test('finds everything in order where it is, and leaves nothing', async () => {
    const sim = new Sim({ files });
    const checks = await sim.run(examine(sim.host));
    const bad = checks.filter((check) => !check.ok).map(({ name }) => name);
    expect(bad).toEqual(['idmapped mounts']);
    expect(checks.length).toBeGreaterThanOrEqual(16);
    const root = new Sim({
      files: { ...files, '/etc/subuid': 'runts:1:9\n', '/etc/subgid': 'runts:1:9\n' },
      environment: { uid: 0, gid: 0, privileged: true },
    });
    expect((await root.run(examine(root.host))).filter((check) => !check.ok)).toEqual([]);
    // Root's containers have ids without anybody's leave.
    const none = { ...files, '/etc/subuid': '', '/etc/subgid': '' };
    const alone = new Sim({ files: none, environment: { uid: 0, gid: 0, privileged: true } });
    const found = await alone.run(examine(alone.host));
    expect(found.find(({ name }) => name === 'subordinate ids')).toMatchObject({ ok: true });
    for (const world of [sim, root, alone]) {
      await world.settle();
      expect(world.leaks()).toEqual([]);
    }
  });

  test('says why each failing check matters and what to do', async () => {
    const misdeed = (op: string) =>
      op === 'become_root' ? ({ kind: 'error', errno: 'EPERM', step: 'setresgid' } as const) : undefined;
    const restricted = {
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns': '1\n',
      '/proc/sys/user/max_user_namespaces': '0\n',
      '/proc/sys/vm/memfd_noexec': '2\n',
    };
    const sim = new Sim({ files: restricted, environment: { kernel: '4.19.1', programs: {} }, misdeed });
    const checks = await sim.run(examine(sim.host));
    expect(checks.filter((check) => check.ok)).toEqual([]);
    for (const check of checks) expect(check.why).toMatch(/\.$/);
    expect(checks.find(({ name }) => name === 'apparmor')?.hint).toContain('sysctl');
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });
});

describe('a reservation', () => {
  test('is for one at a time', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const sim = new Sim({ seed });
      const outcomes = await sim.run(Promise.allSettled([1, 2, 3, 4].map(() => reserve(sim.host, 'web'))));
      const won = outcomes.flatMap((o) => (o.status === 'fulfilled' ? [o.value] : []));
      const lost = outcomes.flatMap((o) => (o.status === 'rejected' ? [o.reason.code] : []));
      expect({ seed, won: won.length, lost }).toEqual({
        seed,
        won: 1,
        lost: ['ERR_EXISTS', 'ERR_EXISTS', 'ERR_EXISTS'],
      });
      await sim.run(won[0]!.release());
      expect(sim.leaks()).toEqual([]);
    }
  });

  test('a directory that a dead process left is taken over, emptied', async () => {
    const sim = new Sim({ files: { '/run/runts/web/lock': '', '/run/runts/web/rest': '{}' } });
    const { release } = await sim.run(reserve(sim.host, 'web'));
    expect(sim.tree.list('/run/runts/web')).toEqual(['lock']);
    await sim.run(release());
    expect(sim.leaks()).toEqual([]);
  });

  test('the directory of a container of the command line is not, whoever holds its lock', async () => {
    const sim = new Sim({ files: { '/run/runts/web/lock': '', '/run/runts/web/state.json': '{}' } });
    expect(await sim.run(failure(reserve(sim.host, 'web')))).toMatchObject({
      code: 'ERR_EXISTS',
      hint: expect.stringContaining('runts delete web'),
    });
    expect(sim.tree.read('/run/runts/web/state.json')).toBe('{}');
  });

  test('is released and taken again by others without an overlap', async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const sim = new Sim({ seed });
      let holders = 0;
      const take = async () => {
        const held = await reserve(sim.host, 'web').catch((error: RuntsError) => {
          expect(error.code).toBe('ERR_EXISTS');
        });
        if (!held) return;
        expect(++holders).toBe(1);
        await sim.host.clock.after(1).done;
        holders--;
        await held.release();
      };
      await sim.run(Promise.all([take(), take().then(take), take().then(take).then(take)]));
      expect({ seed, leaks: sim.leaks() }).toEqual({ seed, leaks: [] });
    }
  });

  test.each(['fail', 'hang', 'cancel'] as const)('leaves nothing when any call goes wrong: %s', async (kind) => {
    for (let at = 0; at < 6; at++) {
      const sim = new Sim({ fault: { at, kind } });
      const held = await sim.run(reserve(sim.host, 'web', sim.signal).catch((error: unknown) => error));
      if (held instanceof Error) {
        // A cancellation is one wherever it comes: not a directory that cannot be made.
        if (kind === 'cancel') expect({ at, held }).toMatchObject({ at, held: { code: 'ERR_CANCELED' } });
        await sim.settle();
        expect({ at, leaks: sim.leaks() }).toEqual({ at, leaks: [] });
      }
    }
  });

  test('an id that is no name is refused', async () => {
    const sim = new Sim();
    for (const id of ['', '.', '..', 'a/b', '.lock', 'x'.repeat(129)]) {
      expect(await failure(reserve(sim.host, id))).toMatchObject({ code: 'ERR_SPEC' });
    }
  });
});
