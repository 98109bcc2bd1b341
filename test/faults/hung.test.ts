import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { intendCgroup, makeCgroup } from '../../lib/host/cgroups/make.ts';
import { openCgroup } from '../../lib/host/cgroups/open.ts';
import { create } from '../../lib/host/oci/create.ts';
import { removeContainer } from '../../lib/host/oci/delete.ts';
import { start } from '../../lib/host/oci/start.ts';
import { createHost } from '../../lib/node/host.ts';
import { defaultSpec } from '../../lib/spec/defaults.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { failure } from '../host/plans.ts';
import { eventually, Place, processesWith } from '../oci/oci.ts';
import { facts } from '../plans/requests.ts';
import { testIf } from '../support/requires.ts';
import { Sim } from '../support/sim.ts';
import { cgroupRoot, errno } from '../support/sim-files.ts';

describe('a kernel that does not do what it was told to', () => {
  // No real one can be made to on demand.
  const plan = {
    driver: 'cgroupfs',
    parent: cgroupRoot,
    path: 'pod/web',
    controllers: [],
    wanted: [],
    writes: [],
  } as const;
  const cgroupPath = `${cgroupRoot}/pod/web`;
  const root = () => new Sim({ environment: { uid: 0, privileged: true } });
  const patienceMs = 10_000;

  async function timed<T>(sim: Sim, work: Promise<T>): Promise<{ error: unknown; ms: number }> {
    const begun = sim.host.clock.now();
    const error = await sim.run(failure(work));
    return { error, ms: sim.host.clock.now() - begun };
  }

  test('a cgroup that cannot be frozen is thawed again after a while, and the error says so', async () => {
    const sim = root();
    const read = sim.tree.read.bind(sim.tree);
    sim.tree.read = (path) => read(path).replace('frozen 1', 'frozen 0');
    const cgroup = await sim.run(intendCgroup(sim.host, plan).then((record) => makeCgroup(sim.host, plan, record)));
    const { error, ms } = await timed(sim, cgroup.freeze());
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', message: expect.stringContaining(cgroupPath) });
    expect(ms).toBeLessThan(patienceMs + 5000);
    expect(sim.tree.read(`${cgroupPath}/cgroup.freeze`)).toBe('0');
    await sim.run(cgroup.remove());
    expect(sim.leaks()).toEqual([]);
  });

  test('a cgroup that cannot be removed is an error after a while, and is removed by the next who tries', async () => {
    const sim = root();
    const remove = sim.tree.removeDirectory.bind(sim.tree);
    const record = await sim.run(intendCgroup(sim.host, plan));
    const cgroup = await sim.run(makeCgroup(sim.host, plan, record));
    sim.tree.removeDirectory = (path) => {
      if (path === cgroupPath) throw errno('EBUSY', path);
      remove(path);
    };
    const { error, ms } = await timed(sim, cgroup.remove());
    expect(error).toMatchObject({
      code: 'ERR_TIMEOUT',
      message: expect.stringContaining(cgroupPath),
      hint: expect.stringContaining('state D'),
    });
    expect(ms).toBeLessThan(2 * patienceMs);
    sim.tree.removeDirectory = remove;
    await sim.run(openCgroup(sim.host, record).remove());
    expect(sim.leaks()).toEqual([]);
  });

  test('a container whose cgroup cannot be removed stays in the list until it can', async () => {
    const files = { '/bundle/rootfs': null, '/bundle/rootfs/etc/passwd': 'root:x:0:0::/root:/bin/sh\n' };
    const sim = new Sim({ files, environment: { uid: 0, gid: 0, privileged: true } });
    const warn = () => undefined;
    const state = '/run/runts';
    const made = await sim.run(
      create(sim.host, facts('root'), {
        ...{ root: state, id: 'c1', bundle: '/bundle', owner: 'root', cgroupManager: 'cgroupfs', warn },
        ...{ preserveFds: 0, noPivot: false, noNewKeyring: false },
        spec: { ...defaultSpec(), root: { path: 'rootfs', readonly: false } } as unknown as Spec,
        stdio: [sim.handle('stdin'), sim.handle('stdout'), sim.handle('stderr')],
      }),
    );
    made.release();
    await sim.run(start(sim.host, state, 'c1', { warn }));
    const remove = sim.tree.removeDirectory.bind(sim.tree);
    sim.tree.removeDirectory = (path) => {
      if (path.startsWith(`${cgroupRoot}/`)) throw errno('EBUSY', path);
      remove(path);
    };
    const force = { force: true, warn };
    const { error, ms } = await timed(sim, removeContainer(sim.host, state, 'c1', force));
    expect(error).toMatchObject({ code: 'ERR_TIMEOUT', message: expect.stringContaining(cgroupRoot) });
    expect(ms).toBeLessThan(3 * patienceMs);
    expect(sim.tree.list(state)).toEqual(['c1']);
    sim.tree.removeDirectory = remove;
    await sim.run(removeContainer(sim.host, state, 'c1', force));
    await sim.settle();
    expect(sim.leaks()).toEqual([]);
  });
});

describe('those that a container waits for', () => {
  let place: Place;
  beforeAll(() => {
    place = new Place();
  });
  afterAll(() => place.remove());

  /** A made container with a hook of its init that lasts; its number of seconds is a word to find it by. */
  async function madeWith(id: string, seconds: string, timeout?: number): Promise<void> {
    const hook = { path: '/bin/sh', args: ['sh', '-c', `sleep ${seconds}; true`] };
    const bundle = place.bundle('exec sleep 1000', (config) => {
      config.hooks = { startContainer: [timeout === undefined ? hook : { ...hook, timeout }] };
    });
    await place.ok('create', '-b', bundle, id);
  }
  const begin = (id: string, deadlineMs: number) =>
    start(createHost(), place.root, id, { deadlineMs, warn: () => undefined });

  testIf('userns', 'busybox')('a hook without a timeout is named, and nothing of it runs on', async () => {
    await madeWith('endless', '4711');
    await expect(begin('endless', 1500)).rejects.toMatchObject({
      code: 'ERR_TIMEOUT',
      hint: expect.stringContaining('(/bin/sh): give it a `timeout`'),
    });
    await eventually(() => processesWith('4711').length === 0, 'the hook to be gone');
    await place.until('endless', 'stopped');
    await place.ok('delete', 'endless');
  });

  testIf('userns', 'busybox')('a hook has the time that it was promised, however little its init has', async () => {
    await madeWith('patient', '2', 20);
    await begin('patient', 1000);
    expect(await place.status('patient')).toBe('running');
    await place.ok('delete', '--force', 'patient');
  });

  testIf('userns', 'busybox')('a receiver of terminals that takes none is given up by name', async () => {
    const path = `${place.directory.path}/console.sock`;
    const bundle = place.bundle('exec sleep 1000', (config) => {
      config.process.terminal = true;
    });
    // It listens, and is stopped before it takes anybody; one more than its queue holds, and nobody gets in.
    const script = `const s = require('net').createServer().listen({ path: ${JSON.stringify(path)}, backlog: 1 }, () => {
      console.log('up'); process.kill(process.pid, 'SIGSTOP'); })`;
    const receiver = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const waiting: Socket[] = [];
    try {
      await once(receiver.stdout, 'data');
      for (let i = 0; i < 4; i++) {
        const socket = connect(path);
        socket.on('error', () => undefined);
        waiting.push(socket);
      }
      const { code, stderr } = await place.runts(['create', '-b', bundle, '--console-socket', path, 'deaf']);
      expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`${path}: EAGAIN`) });
      expect(place.left()).not.toContain('deaf');
    } finally {
      for (const socket of waiting) socket.destroy();
      receiver.kill('SIGKILL');
      await once(receiver, 'exit');
    }
  });
});
