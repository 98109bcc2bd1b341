import { describe, expect, test } from 'vitest';
import { RuntsError } from '../../lib/errors.ts';
import { bounded } from '../../lib/host/bounded.ts';
import { enterGroups, intendGroups, joinGroup, removeGroups, updateGroup } from '../../lib/host/resctrl.ts';
import type { IntelRdt } from '../../lib/spec/types.ts';
import { type Fault, Sim } from '../support/sim.ts';
import { resctrlRoot as root } from '../support/sim-files.ts';
import { failure } from './plans.ts';

const mounted = {
  '/proc/self/mountinfo': `30 1 0:5 / / rw - ext4 /dev/a rw\n31 30 0:27 / ${root} rw shared:1 - resctrl resctrl rw\n`,
  [root]: null,
  [`${root}/schemata`]: '    MB:0=100;1=100\n    L3:0=fff;1=fff\n',
  [`${root}/tasks`]: '',
  [`${root}/mon_groups`]: null,
  [`${root}/info`]: null,
  [`${root}/shared`]: null,
  [`${root}/shared/schemata`]: '    MB:0= 20;1= 70\n    L3:0=00f;1=0ff\n',
  [`${root}/shared/tasks`]: '',
  [`${root}/shared/mon_groups`]: null,
};

const world = (fault?: Fault) => new Sim({ files: mounted, fault, environment: { uid: 0, privileged: true } });

/** What create does; then the directories that go with the container. */
async function join({ host }: Sim, rdt: IntelRdt, pid = 42): Promise<readonly string[]> {
  const made = await intendGroups(host, rdt, 'web');
  await joinGroup(host, rdt, 'web', pid);
  return made;
}

const read = ({ tree }: Sim, path: string) => tree.read(`${root}/${path}`);
const leftOf = ({ tree }: Sim) =>
  [...tree.entries.keys()].filter((path) => path.startsWith(root) && !(path in mounted));

describe('the class of service of a container', () => {
  test('without a name is its own, with its name, and goes with it', async () => {
    const sim = world();
    const made = await sim.run(join(sim, { schemata: ['L3:0=f'] }));
    expect(made).toEqual([`${root}/web`]);
    expect([read(sim, 'web/tasks'), read(sim, 'web/schemata')]).toEqual(['42\n', 'L3:0=f\n']);
    await sim.run(removeGroups(sim.host, made));
    expect(leftOf(sim)).toEqual([]);
    // Interrupted, and done once more.
    await sim.run(removeGroups(sim.host, made));
  });

  test('has what the older words say first, and schemata last; bandwidth is said once', async () => {
    const sim = world();
    const rdt = { l3CacheSchema: 'MB:0=50\nL3:0=f', memBwSchema: 'MB:0=20', schemata: ['L3:1=3', 'MB:1=30'] };
    await sim.run(join(sim, rdt));
    expect(read(sim, 'web/schemata')).toBe('L3:0=f\nMB:0=20\nL3:1=3\nMB:1=30\n');
  });

  test('with none of them keeps what the kernel gives it', async () => {
    const sim = world();
    await sim.run(join(sim, {}));
    expect(sim.calls.filter((call) => call.startsWith('write'))).toEqual([`write ${root}/web/tasks`]);
  });

  test('that has a name and is not there is made, and stays for others', async () => {
    const sim = world();
    const made = await sim.run(join(sim, { closID: 'gold', memBwSchema: 'MB:0=20' }));
    expect(made).toEqual([]);
    expect(read(sim, 'gold/schemata')).toBe('MB:0=20\n');
    // The next one finds it as it is to be.
    await sim.run(join(sim, { closID: 'gold', memBwSchema: 'MB:0=20' }, 43));
    expect(read(sim, 'gold/tasks')).toBe('43\n');
  });

  test('that has a name, is not there and is to have nothing is an error', async () => {
    const sim = world();
    expect(await failure(sim.run(join(sim, { closID: 'gold' })))).toMatchObject({ code: 'ERR_SPEC' });
    expect(leftOf(sim)).toEqual([]);
  });

  test.each([
    ['shared', { schemata: ['L3:0=f;1=0FF', 'MB:1=70'] }],
    ['shared', { l3CacheSchema: 'L3:0=0000f' }],
    ['shared', {}],
    ['/', { schemata: ['MB:0=100'] }],
    ['/', {}],
  ])('%s is joined when it has %j, and nothing of it is changed', async (closID, rdt) => {
    const sim = world();
    const before = read(sim, 'shared/schemata');
    expect(await sim.run(join(sim, { closID, ...rdt }))).toEqual([]);
    expect(read(sim, closID === '/' ? 'tasks' : 'shared/tasks')).toBe('42\n');
    expect(read(sim, 'shared/schemata')).toBe(before);
  });

  test.each([
    ['shared', { schemata: ['L3:0=ff'] }],
    ['shared', { schemata: ['L3:0=f', 'L2:0=f'] }],
    ['shared', { memBwSchema: 'MB:0=30' }],
    ['/', { l3CacheSchema: 'L3:0=1' }],
  ])('%s is refused when it has not %j, and nobody joins it', async (closID, rdt) => {
    const sim = world();
    expect(await failure(sim.run(join(sim, { closID, ...rdt })))).toMatchObject({
      code: 'ERR_STATE',
      message: expect.stringContaining('its schemata are not'),
    });
    expect([read(sim, 'tasks'), read(sim, 'shared/tasks')]).toEqual(['', '']);
  });

  test('that has the name of the container and is not ours is refused, and left alone', async () => {
    const sim = world();
    sim.tree.makeDirectory(`${root}/web`);
    expect(await failure(sim.run(join(sim, {})))).toMatchObject({ code: 'ERR_EXISTS' });
    expect(read(sim, 'web/tasks')).toBe('');
  });

  test.each(['info', 'mon_groups'])('cannot be %s', async (closID) => {
    const sim = world();
    expect(await failure(sim.run(join(sim, { closID })))).toMatchObject({ code: 'ERR_SPEC' });
  });

  test('needs resctrl to be mounted', async () => {
    const sim = new Sim({ files: { '/proc/self/mountinfo': '30 1 0:5 / / rw - ext4 /dev/resctrl rw\n' } });
    expect(await failure(sim.run(join(sim, {})))).toMatchObject({
      code: 'ERR_UNSUPPORTED',
      message: expect.stringContaining('resctrl is not mounted'),
    });
  });

  test('has the other processes of the container, too', async () => {
    const sim = world();
    const rdt = { closID: 'shared', enableMonitoring: true };
    await sim.run(join(sim, rdt));
    await sim.run(enterGroups(sim.host, rdt, 'web', 77));
    expect([read(sim, 'shared/tasks'), read(sim, 'shared/mon_groups/web/tasks')]).toEqual(['77\n', '77\n']);
  });

  test('is changed by an update; that of everybody is not', async () => {
    const sim = world();
    await sim.run(join(sim, {}));
    await sim.run(updateGroup(sim.host, {}, 'web', ['L3:0=1', 'MB:0=10']));
    expect(read(sim, 'web/schemata')).toBe('L3:0=1\nMB:0=10\n');
    for (const rdt of [undefined, { closID: '/' }]) {
      expect(await failure(sim.run(updateGroup(sim.host, rdt, 'web', ['L3:0=1'])))).toMatchObject({
        code: 'ERR_UNSUPPORTED',
      });
    }
  });
});

describe('a group that counts', () => {
  test.each(['enableMonitoring', 'enableCMT', 'enableMBM'])(
    'is made for %s and goes with the container',
    async (word) => {
      for (const closID of ['shared', '/', undefined]) {
        const sim = world();
        const made = await sim.run(join(sim, { closID, [word]: true }));
        const at = closID === undefined ? 'web' : closID === '/' ? '.' : closID;
        const monitor = `${root}/${at}/mon_groups/web`.replace('/./', '/');
        expect(made).toEqual([...(closID === undefined ? [`${root}/web`] : []), monitor]);
        expect(sim.tree.read(`${monitor}/tasks`)).toBe('42\n');
        await sim.run(removeGroups(sim.host, made));
        expect(leftOf(sim)).toEqual([]);
      }
    },
  );

  test('that somebody else has is refused', async () => {
    const sim = world();
    sim.tree.makeDirectory(`${root}/shared/mon_groups/web`);
    const error = await failure(sim.run(join(sim, { closID: 'shared', enableMonitoring: true })));
    expect(error).toMatchObject({ code: 'ERR_EXISTS' });
  });
});

test.each(['fail', 'hang', 'late', 'cancel'] as const)(
  'whatever goes wrong, what was intended is removed: %s',
  async (kind) => {
    const rdt = { schemata: ['L3:0=f'], enableMonitoring: true };
    const clean = world();
    await clean.run(join(clean, rdt));
    for (let at = 0; at < clean.calls.length; at++) {
      const sim = world({ at, kind, errno: 'ENOSPC' });
      const host = bounded(sim.host, { deadlineMs: 5000, cancel: sim.signal });
      let made: readonly string[] = [];
      const work = async () => {
        made = await intendGroups(host, rdt, 'web');
        await joinGroup(host, rdt, 'web', 42);
      };
      const error = await sim.run(work()).then(
        () => undefined,
        (e: unknown) => e,
      );
      await sim.settle();
      expect({ at, runts: error === undefined || RuntsError.is(error) }).toEqual({ at, runts: true });
      await sim.run(removeGroups(sim.host, made));
      expect({ at, call: sim.calls[at], left: leftOf(sim) }).toEqual({ at, call: sim.calls[at], left: [] });
    }
  },
);
