import { describe, expect, test } from 'vitest';
import { type ContainerRequest, planContainer } from '../../lib/plan/container.ts';
import { type ExecRequest, planExec } from '../../lib/plan/exec.ts';
import { netDeviceProgram } from '../../lib/plan/network.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { explain } from '../../lib/program/explain.ts';
import type { Spec } from '../../lib/spec/types.ts';
import { type DraftSpec, facts, request, rows } from './requests.ts';

/** A container with nothing that a test here is not about. */
function bare(edit: (spec: DraftSpec) => void, options: Partial<ContainerRequest> = {}): ContainerRequest {
  return request(
    (spec) => {
      spec.mounts = [];
      spec.linux.namespaces = [{ type: 'mount' }, { type: 'pid' }];
      spec.linux.maskedPaths = spec.linux.readonlyPaths = [];
      spec.process.capabilities = {};
      spec.process.args = ['/bin/true'];
      spec.process.env = ['A=1'];
      delete spec.hostname;
      delete spec.linux.sysctl;
      edit(spec);
    },
    { reap: false, oci: true, start: 'socket', cgroupDriver: 'disabled', ownStdio: false, ...options },
  );
}

/** The rows from one that begins so to the end. */
const from = (all: readonly string[], begin: string) => all.slice(all.findIndex((row) => row.startsWith(begin)));

describe('a container that is started over a socket', () => {
  test('waits when all is done but hooks and the exec', () => {
    const hook = { path: '/h', args: ['h', 'x'], timeout: 2 };
    const asked = bare((spec) => {
      spec.hooks = { createRuntime: [hook], createContainer: [hook], startContainer: [hook] };
      spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 4, hard: 1024 }];
    });
    const all = rows(planContainer({ ...asked, preserveFds: 1 }, facts('root')));
    expect(all.filter((row) => /attach_host|sync|receive|enter|hook/.test(row)).join('\n')).toMatchInlineSnapshot(`
      "attach_host  src=root3 path=/images/demo [unless EACCES] [skip 1]  ; /root/path
      attach_host  src=root3 path=/  ; /root/path
      sync  tag=1001  ; /hooks
      receive  dst=state10 tag=1002  ; /hooks/createContainer
      enter  dir=root3  ; /hooks/createContainer
      hook  path=/h argv=[h x] env=[] stdin=state10 timeout=2000  ; /hooks/createContainer/0
      sync  tag=1003  ; default: created
      hook  path=/h argv=[h x] env=[A=1] stdin=state12 timeout=2000  ; /hooks/startContainer/0"
    `);
    expect(from(all, 'find').join('\n')).toMatchInlineSnapshot(`
      "find  files=[/bin/true]  ; /process/args/0
      new_session  ; default: session
      new_keyring  name=_ses.demo [unless ENOSYS,EPERM,EDQUOT]  ; default: keyring
      stdio  stdin=stdin0 stdout=stdout1 stderr=stderr2  ; default: stdio
      rlimit  resource=nofile soft=1024 hard=1024  ; /process/rlimits/0
      umask  mask=0022  ; /process/user/umask
      no_new_privs  ; /process/noNewPrivileges
      bounding  capabilities=none  ; /process/capabilities/bounding
      ids  uid=0 gid=0 groups=<0 bytes>  ; /process/user
      capabilities  effective=none permitted=none inheritable=none ambient=none  ; /process/capabilities
      keep_only  registers=[listener13 fd11]  ; default: start
      sync  tag=1003  ; default: created
      await_start  listener=listener13 dst=state12 tag=1  ; default: start
      hook  path=/h argv=[h x] env=[A=1] stdin=state12 timeout=2000  ; /hooks/startContainer/0
      descriptors  descriptors=[fd11]  ; option: preserveFds
      close_from  fd=4  ; default: descriptors
      rlimit  resource=nofile soft=4 hard=1024  ; /process/rlimits/0
      exec  files=[/bin/true] argv=[/bin/true] env=[A=1]  ; /process/args
      "
    `);
  });

  test('has no keyring of its own, and moves its root, where that is asked', () => {
    const all = rows(
      planContainer(
        bare(() => {}, { newKeyring: false, noPivot: true }),
        facts('root'),
      ),
    ).join('\n');
    expect(all).not.toContain('new_keyring');
    expect(all).toContain('move_root');
    expect(all).not.toContain('pivot');
    const isPrivate = (spec: DraftSpec) => (spec.linux.rootfsPropagation = 'private');
    expect(() => planContainer(bare(isPrivate, { noPivot: true }), facts('root'))).toThrow('without pivot_root');
  });

  test('has the owners that its bundle has', () => {
    const mapped = (spec: DraftSpec) => spec.linux.namespaces.push({ type: 'user' });
    const { inputs } = planContainer(bare(mapped), facts('root'));
    expect(inputs.filter(({ kind }) => kind === 'mount')).toMatchObject([{ register: 'root3', idmap: false }]);
  });
});

describe('how namespaces are entered', () => {
  const opening = (types: string, edit: (spec: DraftSpec) => void = () => {}, kind: 'root' | 'rootless' = 'root') => {
    const asked = bare((spec) => {
      spec.linux.namespaces = types.split(' ').map((word) => {
        const type = word.replace('=', '') as 'pid';
        return word.endsWith('=') ? { type, path: `/n/${type}` } : { type };
      });
      edit(spec);
    });
    const all = rows(planContainer(asked, facts(kind)));
    return all
      .slice(
        1,
        all.findIndex((row) => row.startsWith('propagation')),
      )
      .join('\n');
  };
  const clocks = (spec: DraftSpec) => (spec.linux.timeOffsets = { boottime: { secs: 7 } });

  test('a new user namespace, after those of others', () => {
    expect(opening('mount user network=')).toMatchInlineSnapshot(`
      "undumpable  ; default: no attaching
      expect_namespace  src=network3 type=0x40000000  ; /linux/namespaces/2
      join  namespaces=[network3]  ; /linux/namespaces/2
      unshare  flags=user  ; /linux/namespaces
      sync  tag=1000  ; default: user namespace
      become_root  ; default: user namespace
      unshare  flags=mount  ; /linux/namespaces"
    `);
  });

  test('a user namespace of others', () => {
    const scored = (spec: DraftSpec) => (spec.process.oomScoreAdj = 5);
    expect(opening('mount user= pid', scored, 'rootless')).toMatchInlineSnapshot(`
      "open  dst=procfs path=/proc  ; default: procfs
      write  root=procfs path=self/oom_score_adj content=<1 bytes>  ; /process/oomScoreAdj
      undumpable  ; default: no attaching
      expect_namespace  src=user3 type=0x10000000  ; /linux/namespaces/1
      join  namespaces=[] user=user3  ; /linux/namespaces/1
      become_root  ; default: user namespace
      unshare  flags=mount,pid  ; /linux/namespaces
      close  src=procfs  ; default: procfs
      fork  ; /linux/namespaces"
    `);
  });

  test('a time namespace, by a child that is process 1', () => {
    expect(opening('mount pid time', clocks)).toMatchInlineSnapshot(`
      "undumpable  ; default: no attaching
      unshare  flags=time,pid  ; /linux/namespaces
      open  dst=procfs path=/proc  ; default: procfs
      write  root=procfs path=self/timens_offsets content=<13 bytes>  ; /linux/timeOffsets/boottime
      close  src=procfs  ; default: procfs
      fork  ; /linux/namespaces"
    `);
  });

  test('what takes the rights of the host comes before they are given up', () => {
    const edit = (spec: DraftSpec) => {
      spec.process.oomScoreAdj = -5;
      spec.process.rlimits = [{ type: 'RLIMIT_NOFILE', soft: 4, hard: 1024 }];
    };
    expect(opening('mount user pid', edit)).toMatchInlineSnapshot(`
      "open  dst=procfs path=/proc  ; default: procfs
      write  root=procfs path=self/oom_score_adj content=<2 bytes>  ; /process/oomScoreAdj
      rlimit  resource=nofile soft=1024 hard=1024  ; /process/rlimits/0
      undumpable  ; default: no attaching
      unshare  flags=user  ; /linux/namespaces
      sync  tag=1000  ; default: user namespace
      become_root  ; default: user namespace
      unshare  flags=mount,pid  ; /linux/namespaces
      close  src=procfs  ; default: procfs
      fork  ; /linux/namespaces"
    `);
  });
});

describe('a later command', () => {
  const exec = (edit: (spec: DraftSpec) => void = () => {}, options: Partial<ExecRequest> = {}) => {
    const { spec } = bare(edit);
    const asked: ExecRequest = {
      id: 'demo',
      spec,
      process: spec.process as NonNullable<Spec['process']>,
      pid: 42,
      namespaces: new Set(['mount', 'pid']),
      stdio: 'pipes',
      ownStdio: false,
      ...options,
    };
    return planExec(asked, facts('root'));
  };

  test('enters the namespaces that differ, and is confined like the first', () => {
    const plan = exec((spec) => {
      spec.process.oomScoreAdj = 5;
      spec.process.apparmorProfile = 'p';
      spec.process.execCPUAffinity = { initial: '0', final: '1' };
      spec.process.cwd = '/work';
    });
    expect(plan).toMatchObject({ flags: 0, reaps: false });
    expect(plan.inputs.filter(({ kind }) => kind === 'namespace')).toMatchObject([
      { type: 'mount', path: '/proc/42/ns/mnt' },
      { type: 'pid', path: '/proc/42/ns/pid' },
    ]);
    expect(rows(plan).join('\n')).toMatchInlineSnapshot(`
      "  inputs  stdin0 stdout1 stderr2 mount3 pid4
      affinity  cpus=<1 bytes> [unless EINVAL]  ; /process/execCPUAffinity/initial
      open  dst=procfs path=/proc  ; default: procfs
      write  root=procfs path=self/oom_score_adj content=<1 bytes>  ; /process/oomScoreAdj
      write  root=procfs path=self/attr/apparmor/exec content=<6 bytes> [unless ENOENT] [skip 1]  ; /process/apparmorProfile
      write  root=procfs path=self/attr/exec content=<6 bytes>  ; /process/apparmorProfile
      close  src=procfs  ; default: procfs
      undumpable  ; default: no attaching
      join  namespaces=[mount3 pid4]  ; exec: namespaces
      open  dst=root5 path=/  ; exec: root
      directory  root=root5 path=work mode=0755 [unless EROFS,EACCES]  ; /process/cwd
      chdir  path=/work  ; /process/cwd
      find  files=[/bin/true]  ; /process/args/0
      new_keyring  name=_ses.demo [unless ENOSYS,EPERM,EDQUOT]  ; default: keyring
      stdio  stdin=stdin0 stdout=stdout1 stderr=stderr2  ; default: stdio
      affinity  cpus=<1 bytes>  ; /process/execCPUAffinity/final
      umask  mask=0022  ; /process/user/umask
      no_new_privs  ; /process/noNewPrivileges
      bounding  capabilities=none  ; /process/capabilities/bounding
      ids  uid=0 gid=0 groups=<0 bytes>  ; /process/user
      capabilities  effective=none permitted=none inheritable=none ambient=none  ; /process/capabilities
      fork  ; exec: namespaces
      new_session  ; default: session
      keep_only  registers=[]  ; default: start
      sync  tag=1  ; default: start
      close_from  fd=3  ; default: descriptors
      exec  files=[/bin/true] argv=[/bin/true] env=[A=1]  ; /process/args
      "
    `);
  });

  test('in a user namespace is its root until it is its user', () => {
    const all = rows(exec(() => {}, { namespaces: new Set(['mount', 'user', 'time']) }));
    expect(
      all
        .slice(
          0,
          all.findIndex((row) => row.startsWith('chdir')),
        )
        .join('\n'),
    ).toMatchInlineSnapshot(`
      "  inputs  stdin0 stdout1 stderr2 user3 mount4 time5
      undumpable  ; default: no attaching
      join  namespaces=[mount4 time5] user=user3  ; exec: namespaces
      become_root  ; exec: namespaces"
    `);
    expect(all.filter((row) => row.startsWith('ids')).join('\n')).toMatchInlineSnapshot(`
      "ids  uid=0 gid=0 groups=<0 bytes> [unless EPERM] [skip 1]  ; /process/user
      ids  uid=0 gid=0 groups=<0 bytes> keep_groups  ; /process/user"
    `);
  });

  test('has a terminal of the container’s', () => {
    const all = rows(exec(() => {}, { stdio: 'terminal', consoleSize: { width: 80, height: 24 } }));
    expect(all.filter((row) => /devpts|slave|master/.test(row)).join('\n')).toMatchInlineSnapshot(`
      "open_below  dst=devpts2 root=root3 path=dev/pts directory  ; /process/terminal
      pty  master=master4 slave=slave5 devpts=devpts2  ; /process/terminal
      window  src=slave5 columns=80 rows=24  ; /process/consoleSize
      send_handle  src=master4 tag=2  ; /process/terminal
      stdio  stdin=slave5 stdout=slave5 stderr=slave5  ; default: stdio
      controlling_terminal  src=slave5  ; /process/terminal"
    `);
  });

  test('cannot gain privileges where the container cannot, unless it says so', () => {
    const nnp = (plan: Plan) => rows(plan).some((row) => row.startsWith('no_new_privs'));
    const { spec } = bare(() => {});
    const { noNewPrivileges: _, ...process } = spec.process as NonNullable<Spec['process']>;
    expect(spec.process?.noNewPrivileges).toBe(true);
    expect(nnp(exec(() => {}, { process }))).toBe(true);
    expect(nnp(exec(() => {}, { process: { ...process, noNewPrivileges: false } }))).toBe(false);
  });

  test('is refused where it would run in the root of the host', () => {
    expect(() => exec(() => {}, { namespaces: new Set(['pid']) })).toThrow('shares the mounts of the host');
  });
});

describe('network devices', () => {
  const asked = (netDevices: object) =>
    bare((spec) => {
      spec.linux.namespaces.push({ type: 'network' });
      spec.linux.netDevices = netDevices as never;
    });

  test('are moved by a helper at a sync point of their own', () => {
    const plan = planContainer(asked({ eth0: { name: 'net%d' }, eth1: {} }), facts('root'));
    expect(rows(plan).filter((row) => row.includes('tag=1005'))).toHaveLength(1);
    expect(explain(netDeviceProgram(plan.netDevices ?? []))).toMatchInlineSnapshot(`
      "     inputs            netns
        0  net_device        name=eth0 netns=netns rename=net%d                             ; /linux/netDevices/eth0
        1  net_device        name=eth1 netns=netns rename=eth1                              ; /linux/netDevices/eth1
        2  halt                                                                             ; default: end
      "
    `);
  });

  test('cannot have one name', () => {
    expect(() => planContainer(asked({ a: { name: 'x' }, b: { name: 'x' } }), facts('root'))).toThrow(
      'both be called x',
    );
  });
});

test('notifications go to the host, with somebody to answer', () => {
  const notify = (listenerPath: string | undefined, names = ['mkdir']) =>
    bare((spec) => {
      const syscalls = [{ names, action: 'SCMP_ACT_NOTIFY' }];
      spec.linux.seccomp = {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls,
        ...(listenerPath && { listenerPath }),
      } as never;
    });
  const all = rows(planContainer(notify('/run/agent.sock'), facts('root')));
  expect(all.slice(-4).map((row) => row.split(' ')[0])).toEqual(['listener', 'send_handle', 'exec', '']);
  expect(() => planContainer(notify(undefined), facts('root'))).toThrow('listenerPath');
  expect(() => planContainer(notify('/run/agent.sock', ['sendmsg']), facts('root'))).toThrow('seccomp profile');
});

describe('what a command is given', () => {
  const names = (asked: ContainerRequest, kind: 'root' | 'rootless' = 'root') =>
    planContainer(asked, facts(kind)).segment.ops.map(({ op }) => op);

  test('hooks of the container run under its filter, which comes right after the wait', () => {
    const filtered = (hooks: boolean) =>
      names(
        bare((spec) => {
          spec.linux.seccomp = { defaultAction: 'SCMP_ACT_ALLOW' } as never;
          if (hooks) spec.hooks = { startContainer: [{ path: '/h' }] };
        }),
      );
    const rest = (ops: readonly string[]) => ops.slice(ops.indexOf('await_start') + 1);
    expect(rest(filtered(true))).toEqual(['seccomp', 'hook', 'close_from', 'exec']);
    expect(rest(filtered(false))).toEqual(['close_from', 'seccomp', 'exec']);
  });

  test('a user goes to the working directory with rights of its own, too', () => {
    const chdirs = (uid: number, cwd: string) =>
      rows(
        planContainer(
          bare((spec) => {
            spec.process.user = { uid, gid: 0 };
            spec.process.cwd = cwd;
          }),
          facts('root'),
        ),
      ).filter((row) => row.startsWith('chdir'));
    expect(chdirs(5, '/w')).toEqual([
      'chdir  path=/w [unless EACCES]  ; /process/cwd',
      'chdir_again  path=/w  ; /process/cwd',
    ]);
    expect(chdirs(5, '/')).toEqual(['chdir  path=/  ; /process/cwd']);
    expect(chdirs(0, '/w')).toEqual(['chdir  path=/w  ; /process/cwd']);
  });

  test('of a variable that is given twice only the last is left', () => {
    const plan = planContainer(
      bare((spec) => {
        spec.process.env = ['A=1', 'A=2'];
      }),
      facts('root'),
    );
    expect(plan.segment.ops.at(-1)?.operands).toMatchObject({ env: ['A=2'] });
  });

  test('the groups of its maker stay where an annotation says so', () => {
    const asked = bare((spec) => {
      spec.linux.namespaces = [{ type: 'mount' }, { type: 'pid' }, { type: 'user' }];
      spec.annotations = { 'run.oci.keep_original_groups': '1' };
    });
    const plan = planContainer(asked, facts('rootless'));
    expect(plan.maps?.setgroups).toBe('deny');
    expect(plan.segment.ops.find(({ op }) => op === 'ids')?.operands).toMatchObject({ keep_groups: 1 });
  });

  test('a root that is moved stands in its own place until then', () => {
    const moved = rows(planContainer({ ...bare(() => {}), noPivot: true }, facts('root')));
    expect(moved.filter((row) => /^(attach_host|move_root)/.test(row))[0]).toContain('path=/images/demo');
  });

  test('the lines of a terminal are plain where nobody looks at them', () => {
    const terminal = bare((spec) => {
      spec.mounts = [{ type: 'devpts', destination: '/dev/pts' }];
    });
    expect(names({ ...terminal, stdio: 'terminal', plainOutput: true })).toContain('plain_output');
    expect(names({ ...terminal, stdio: 'terminal' })).not.toContain('plain_output');
  });
});
