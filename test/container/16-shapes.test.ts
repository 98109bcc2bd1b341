import { mkdirSync, readFileSync, rmdirSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type NamespaceType, namespaceFiles } from '../../lib/spec/names.ts';
import { namespaceOf } from '../support/ops.ts';
import { type DraftSpec, type Waiting, waiting } from '../support/plans.ts';
import { cgroup2Root, testIf } from '../support/requires.ts';

const root = process.getuid?.() === 0;
const testAsRoot = testIf('root');
// Docker's devpts wants group 5, and of a user namespace that is joined nobody knows which groups it has.
const testMapped = root ? testAsRoot : testIf('userns', 'subuids');

interface Asked {
  readonly types: readonly NamespaceType[];
  /** Joined from this one. */
  readonly from?: Waiting;
  readonly joined?: readonly NamespaceType[];
  readonly edit?: (spec: DraftSpec) => void;
}

function container({ types, from, joined = [], edit = () => {} }: Asked): Promise<Waiting> {
  return waiting((spec) => {
    spec.linux.namespaces = [
      ...types.map((type) => ({ type })),
      ...joined.map((type) => ({ type, path: `/proc/${from?.session.pid}/ns/${namespaceFiles[type]}` })),
    ];
    delete spec.hostname;
    delete spec.linux.sysctl;
    spec.process.args = ['sh', '-c', 'for type in /proc/self/ns/*; do readlink $type; done'];
    edit(spec);
  });
}

/** Starts a container of which the command says in which namespaces it is. */
async function namespaces(made: Waiting): Promise<readonly string[]> {
  await made.start();
  return (await made.output).split('\n');
}

const of = (made: Waiting, type: NamespaceType) => namespaceOf(made.session.pid, namespaceFiles[type]);

/** As root of the host, who needs none of its own. */
const all = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'] as const;
const own: readonly NamespaceType[] = root ? all : ['user', ...all];
const pod = ['network', 'ipc', 'uts', 'pid', 'cgroup'] as const;

describe('namespaces that are joined by path', () => {
  testMapped('a container enters those of another one, and can be entered itself', async () => {
    const first = await container({ types: own });
    const joined: readonly NamespaceType[] = root ? pod : ['user', ...pod];
    const second = await container({ types: ['mount'], from: first, joined });
    // The entries of /proc of an init that has joined a user namespace are those of root of the one above.
    if (root) {
      const { output } = await second.exec(['sh', '-c', 'cat /proc/[12]/comm; id -u']);
      expect(output).toBe('runts-init\nrunts-init\n0\n');
    }
    const found = await namespaces(second);
    for (const type of joined) expect(found).toContain(of(first, type));
    expect(found).not.toContain(of(first, 'mount'));
    await namespaces(first);
  });

  testMapped('in a user namespace that is joined, the other namespaces are its', async () => {
    const first = await container({ types: ['user', 'mount'], edit: mappedRoot() });
    const second = await container({
      types: ['pid', 'network', 'uts', 'mount', 'ipc', 'cgroup'],
      from: first,
      joined: ['user'],
      edit: (spec) => {
        spec.hostname = 'second';
        spec.process.user = { uid: 0, gid: 0 };
      },
    });
    if (root) {
      const { output } = await second.exec(['sh', '-c', 'hostname; echo $$; id -u']);
      expect(output).toBe('second\n2\n0\n');
    }
    expect(await namespaces(second)).toContain(of(first, 'user'));
    await namespaces(first);
  });

  testAsRoot('a new user namespace is made after the others were entered', async () => {
    const first = await container({ types: all });
    const second = await container({
      types: ['user', 'mount', 'pid', 'uts'],
      from: first,
      joined: ['network', 'ipc'],
      edit: (spec) => {
        mappedRoot()(spec);
        // Whose message queues belong to the user namespace above.
        spec.mounts = spec.mounts?.filter(({ type }) => type !== 'mqueue');
      },
    });
    expect(readFileSync(`/proc/${second.session.pid}/uid_map`, 'utf8').trim()).toMatch(/^0 +0 +65536$/);
    expect((await second.exec(['sh', '-c', 'echo $$'])).output).toBe('2\n');
    const found = await namespaces(second);
    expect(found).toContain(of(first, 'network'));
    expect(found).not.toContain(namespaceOf('self', 'user'));
    await namespaces(first);
  });
});

/** For root: the ids are those of the host, so that the root file system is its. */
const mappedRoot = () => (spec: DraftSpec) => {
  if (!root) return;
  spec.linux.uidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
  spec.linux.gidMappings = [{ containerID: 0, hostID: 0, size: 65536 }];
};

describe('a time namespace without a reaper', () => {
  const clocks = (spec: DraftSpec) => {
    spec.linux.timeOffsets = { boottime: { secs: 500_000_000 } };
    spec.process.args = ['sh', '-c', 'cut -d. -f1 /proc/uptime; echo $$'];
  };

  test.each([['pid'], []] as const)('its clocks are set, with a PID namespace of its own: %s', async (...types) => {
    const shared = types.length === 0;
    const others = own.filter((type) => type !== 'pid');
    const made = await container({
      types: [...others, 'time', ...types],
      edit: (spec) => {
        clocks(spec);
        if (shared && !root) spec.mounts = spec.mounts?.filter(({ type }) => type !== 'proc');
        if (shared && !root) spec.process.args = ['sh', '-c', 'echo 500000001; echo $$'];
        if (shared) spec.linux.maskedPaths = spec.linux.readonlyPaths = [];
      },
    });
    await made.start();
    const [uptime, pid] = (await made.output).split('\n').map(Number);
    expect(uptime).toBeGreaterThan(500_000_000);
    if (!shared) expect(pid).toBe(1);
  });

  test('a later command has the same clocks', async () => {
    const made = await container({ types: [...own, 'time'], edit: clocks });
    const { output } = await made.exec(['cut', '-d.', '-f1', '/proc/uptime']);
    expect(Number(output)).toBeGreaterThan(500_000_000);
    await made.start();
  });

  testAsRoot('also beside a user namespace that is joined', async () => {
    const first = await container({ types: ['user', 'mount'], edit: mappedRoot() });
    const others = all.filter((type) => type !== 'mount');
    const second = await container({
      types: ['mount', ...others, 'time'],
      from: first,
      joined: ['user'],
      edit: clocks,
    });
    await second.start();
    expect(Number((await second.output).split('\n')[0])).toBeGreaterThan(500_000_000);
    await namespaces(first);
  });
});

describe('what takes the rights of the host is done before they are given up', () => {
  testIf('root', 'CAP_SYS_RESOURCE')('a hard limit is raised, and a score lowered, in a user namespace', async () => {
    const hard = Number(/Max locked memory +\d+ +(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0);
    const made = await container({
      types: ['user', ...all],
      edit: (spec) => {
        mappedRoot()(spec);
        spec.process.oomScoreAdj = -500;
        spec.process.rlimits = [{ type: 'RLIMIT_MEMLOCK', soft: hard * 2, hard: hard * 2 }];
        spec.process.args = ['sh', '-c', 'cat /proc/self/oom_score_adj; grep locked /proc/self/limits'];
      },
    });
    const { output } = await made.exec(['cat', '/proc/self/oom_score_adj']);
    expect(output).toBe('-500\n');
    await made.start();
    const lines = (await made.output).split('\n');
    expect(lines[0]).toBe('-500');
    expect(lines[1]).toContain(` ${hard * 2} `);
  });

  test('a limit, and a score, of a container and of its later commands', async () => {
    const made = await container({
      types: ['user', ...all],
      edit: (spec) => {
        mappedRoot()(spec);
        spec.process.oomScoreAdj = 500;
        spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 5, hard: 300 }];
        spec.process.args = ['sh', '-c', 'cat /proc/self/oom_score_adj; ulimit -n'];
      },
    });
    expect((await made.exec(['sh', '-c', 'cat /proc/self/oom_score_adj; ulimit -n'])).output).toBe('500\n5\n');
    await made.start();
    expect(await made.output).toBe('500\n5\n');
  });
});

testIf('root', 'cgroup2')('a cgroup namespace begins at the cgroup of the container', async () => {
  const path = `${cgroup2Root}/runts-plan-test`;
  mkdirSync(path);
  const made = await waiting(
    (spec) => {
      spec.linux.namespaces = all.map((type) => ({ type }));
      spec.process.args = ['grep', '^0:', '/proc/self/cgroup'];
    },
    { cgroup: path },
  );
  onTestFinished(() => rmdirSync(path));
  await made.start();
  expect(await made.output).toBe('0::/\n');
  await made.session.exit;
});

describe('namespaces that cannot be joined', () => {
  const joining = (type: NamespaceType, path: string) => (spec: DraftSpec) => {
    const others = own.filter((other) => other !== type && !(root && other === 'user'));
    spec.linux.namespaces = [...others.map((other) => ({ type: other })), { type, path }];
    delete spec.hostname;
    delete spec.linux.sysctl;
  };

  test('one of another type is told by its path', async () => {
    await expect(waiting(joining('network', '/proc/self/ns/uts'))).rejects.toMatchObject({
      code: 'ERR_SETUP',
      origin: expect.stringMatching(/^\/linux\/namespaces\/\d$/),
      hint: expect.stringContaining('another type'),
    });
    await expect(waiting(joining('network', '/proc/self/status'))).rejects.toMatchObject({ code: 'ERR_SETUP' });
    await expect(waiting(joining('network', '/nowhere'))).rejects.toMatchObject({ code: 'ERR_SETUP' });
  });

  testIf('ordinary user')('one that belongs to somebody else: the answer says whose it must be', async () => {
    await expect(waiting(joining('network', '/proc/self/ns/net'))).rejects.toMatchObject({
      code: 'ERR_SETUP',
      failure: { op: 'join', errno: 'EPERM' },
      hint: expect.stringContaining('belongs to somebody else'),
    });
  });
});
