import { describe, expect, test } from 'vitest';
import { type ContainerRequest, planContainer } from '../../lib/plan/container.ts';
import { emptyMountsProgram } from '../../lib/plan/empty-mounts.ts';
import type { Plan } from '../../lib/plan/plan.ts';
import { brokenRules } from '../../lib/plan/rules.ts';
import { encode } from '../../lib/program/encode.ts';
import { explain } from '../../lib/program/explain.ts';
import type { Op, OpName } from '../../lib/program/ops.ts';
import { verify } from '../../lib/program/verify.ts';
import { namespaceFlags } from '../../lib/spec/names.ts';
import { type DraftSpec, facts, request, rows } from './requests.ts';

/** Of a container of root, with the ids of the host, on a host that has an empty mount namespace. */
const asked = (edit: (spec: DraftSpec) => void = () => {}, options: Partial<ContainerRequest> = {}) =>
  request(
    (spec) => {
      spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'user');
      edit(spec);
    },
    { emptyMounts: true, ...options },
  );

const leaves = ({ inputs }: Plan) => inputs.some(({ kind }) => kind === 'empty_mounts');

test('the program that makes an empty namespace is one that an init takes', () => {
  expect(verify(encode(emptyMountsProgram()))).toBeUndefined();
});

test('root of the host has all that it takes of its mounts before it leaves them, and mounts nothing before', () => {
  const plan = planContainer(
    asked((spec) => {
      spec.mounts = [
        { destination: '/proc', type: 'proc', source: 'proc', options: [] },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid'] },
        { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
        { destination: '/data', type: 'bind', source: '/srv/data', options: ['rbind', 'ro'] },
      ];
      spec.linux.maskedPaths = ['/proc/kcore'];
      spec.linux.readonlyPaths = ['/proc/sys'];
    }),
    facts('root'),
  );
  expect(plan.flags & namespaceFlags.mount).toBe(0);
  const all = rows(plan);
  const until = all.findIndex((row) => row.startsWith('link_up'));
  expect(all.slice(0, until).join('\n')).toMatchInlineSnapshot(`
    "  inputs  stdin0 stdout1 stderr2 empty14
    undumpable  ; default: no attaching
    clone_mount  dst=root3 path=/images/demo recursive  ; /root/path
    clone_mount  dst=bind7 path=/srv/data recursive  ; /mounts/3
    clone_mount  dst=device8 path=/dev/null  ; default: /dev
    clone_mount  dst=device9 path=/dev/zero  ; default: /dev
    clone_mount  dst=device10 path=/dev/full  ; default: /dev
    clone_mount  dst=device11 path=/dev/random  ; default: /dev
    clone_mount  dst=device12 path=/dev/urandom  ; default: /dev
    clone_mount  dst=device13 path=/dev/tty  ; default: /dev
    join  namespaces=[empty14]  ; default: host mounts
    unshare  flags=mount,cgroup  ; /linux/namespaces
    close  src=empty14  ; default: host mounts
    propagation  flags=private  ; default: propagation
    mount_attributes  src=root3 set=nodev propagation=private recursive  ; /root/path
    attach_host  src=root3 path=/  ; /root/path
    fsmount  dst=proc4 fstype=proc options=[] attributes=nosuid,nodev,noexec  ; /mounts/0
    attach  src=proc4 root=root3 path=proc ordinary  ; /mounts/0
    fsmount  dst=tmpfs5 fstype=tmpfs options=[] attributes=nosuid,nodev  ; /mounts/1
    inherit  src=tmpfs5 root=root3 path=dev [unless ENOENT,ENOTDIR]  ; /mounts/1
    attach  src=tmpfs5 root=root3 path=dev  ; /mounts/1
    fsmount  dst=sysfs6 fstype=sysfs options=[] attributes=ro,nodev  ; /mounts/2
    attach  src=sysfs6 root=root3 path=sys ordinary  ; /mounts/2
    mount_attributes  src=bind7 clear=nosymfollow [unless EPERM]  ; /mounts/3
    mount_attributes  src=bind7 clear=nosuid,nodev,noexec [unless EPERM]  ; /mounts/3
    mount_attributes  src=bind7 set=ro,nodev  ; /mounts/3
    mount_attributes  src=bind7 propagation=private recursive  ; /mounts/3
    attach  src=bind7 root=root3 path=data  ; /mounts/3
    mount_attributes  src=device8 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device8 root=tmpfs5 path=null  ; default: /dev
    mount_attributes  src=device9 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device9 root=tmpfs5 path=zero  ; default: /dev
    mount_attributes  src=device10 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device10 root=tmpfs5 path=full  ; default: /dev
    mount_attributes  src=device11 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device11 root=tmpfs5 path=random  ; default: /dev
    mount_attributes  src=device12 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device12 root=tmpfs5 path=urandom  ; default: /dev
    mount_attributes  src=device13 set=ro,nosuid,noexec propagation=private  ; default: /dev
    attach  src=device13 root=tmpfs5 path=tty  ; default: /dev
    symlink  root=tmpfs5 path=fd target=/proc/self/fd  ; default: /dev
    symlink  root=tmpfs5 path=stdin target=/proc/self/fd/0  ; default: /dev
    symlink  root=tmpfs5 path=stdout target=/proc/self/fd/1  ; default: /dev
    symlink  root=tmpfs5 path=stderr target=/proc/self/fd/2  ; default: /dev
    symlink  root=tmpfs5 path=ptmx target=pts/ptmx  ; default: /dev
    mask  root=proc4 path=kcore null=device8 [unless ENOENT,ENOTDIR]  ; /linux/maskedPaths/0
    readonly  root=proc4 path=sys [unless ENOENT,ENOTDIR]  ; /linux/readonlyPaths/0
    pivot  root=root3  ; default: root"
  `);
});

describe('a container goes with a copy of the mounts of the host', () => {
  const hook = [{ path: '/hook' }];
  const joined = (type: 'network') => (spec: DraftSpec) => {
    spec.linux.namespaces = spec.linux.namespaces.map((one) => (one.type === type ? { type, path: '/run/ns' } : one));
  };
  test.each<[string, ContainerRequest, ('root' | 'rootless')?]>([
    ['where there is no empty namespace', asked(() => {}, { emptyMounts: false })],
    ['of an ordinary user', asked(), 'rootless'],
    ['with ids of its own', request(() => {}, { emptyMounts: true })],
    ['that joins a namespace', asked(joined('network'))],
    ['with the programs of the host', asked(() => {}, { root: { kind: 'host' } })],
    [
      'that hooks look at',
      asked(
        (spec) => {
          spec.hooks = { createRuntime: hook };
        },
        { oci: true, reap: false, start: 'socket', cgroupDriver: 'disabled' },
      ),
    ],
    ['without a pivot', asked(() => {}, { noPivot: true })],
    [
      'that is to receive mounts',
      asked((spec) => {
        spec.linux.rootfsPropagation = 'rslave';
      }),
    ],
    [
      'that gets devices of the network',
      asked((spec) => {
        spec.linux.netDevices = { eth0: {} };
      }),
    ],
    [
      'that has the network of the host, and with it its /sys where a new one is refused',
      asked((spec) => {
        spec.linux.namespaces = spec.linux.namespaces.filter(({ type }) => type !== 'network');
      }),
    ],
    [
      'that makes its own devices, and has clones of those of the host where it must not',
      asked(
        (spec) => {
          spec.linux.resources = { devices: [{ allow: false, access: 'rwm' }] };
        },
        { oci: true, reap: false, start: 'socket' },
      ),
    ],
  ])('%s', (_, one, kind = 'root') => {
    const plan = planContainer(one, facts(kind));
    expect(leaves(plan)).toBe(false);
    const without = planContainer({ ...one, emptyMounts: undefined }, facts(kind));
    expect(explain(plan.segment)).toBe(explain(without.segment));
    expect(plan.flags & namespaceFlags.mount).toBe(namespaceFlags.mount);
  });

  test('of root in a user namespace below that of the host', () => {
    const nested = { ...facts('root'), nested: true as const };
    expect(leaves(planContainer(asked(), nested))).toBe(false);
  });
});

describe('a plan that leaves the mounts of the host', () => {
  const good = planContainer(asked(), facts('root'));
  const edited = (edit: (ops: Op[]) => Op[]): Plan => ({
    ...good,
    segment: { ...good.segment, ops: edit([...good.segment.ops]) },
  });
  const to = (from: OpName, before: OpName) => (ops: Op[]) => {
    const moved = ops.find(({ op }) => op === from)!;
    const rest = ops.filter((op) => op !== moved);
    return rest.toSpliced(
      rest.findIndex(({ op }) => op === before),
      0,
      moved,
    );
  };
  const shared = (ops: Op[]) =>
    ops.map((op) =>
      op.op === 'mount_attributes' && String(op.operands.src).startsWith('device')
        ? { ...op, operands: { ...op.operands, propagation: 0 } }
        : op,
    );

  test('breaks no rule', () => {
    expect(leaves(good)).toBe(true);
    expect(brokenRules(good, 'container')).toEqual([]);
  });

  test.each<[string, string, Plan]>([
    ['mounts something on the host', 'mounts are cut off', edited(to('fsmount', 'clone_mount'))],
    ['clones something of the host too late', 'who leaves the mounts', edited(to('clone_mount', 'pivot'))],
    [
      'leaves them without a namespace of its own',
      'mounts are the container’s own',
      edited((ops) => ops.filter(({ op }) => op !== 'unshare')),
    ],
    ['makes a namespace before it leaves', 'who leaves the mounts', edited(to('unshare', 'join'))],
    ['stays among them', 'who leaves the mounts', edited((ops) => ops.filter(({ op }) => op !== 'join'))],
    ['shares a device with them', 'who leaves the mounts', edited(shared)],
  ])('is caught where it %s', (_, rule, plan) => {
    expect(brokenRules(plan, 'container').join('; ')).toContain(rule);
  });
});
