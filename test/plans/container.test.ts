import { expect, test } from 'vitest';
import { planContainer } from '../../lib/plan/container.ts';
import { explain } from '../../lib/program/explain.ts';
import { facts, request, rows } from './requests.ts';

const text = (...[asked, kind]: [ReturnType<typeof request>, 'root' | 'rootless' | 'single-id']): string =>
  rows(planContainer(asked, facts(kind))).join('\n');

/** Little enough to read: three mounts, no capabilities, one path hidden. */
const small = (options = {}) =>
  request((spec) => {
    spec.mounts = spec.mounts?.filter(({ destination }) => ['/proc', '/dev', '/dev/pts'].includes(destination));
    spec.process.capabilities = {};
    spec.process.args = ['/bin/true'];
    spec.linux.maskedPaths = ['/proc/kcore'];
    spec.linux.readonlyPaths = ['/proc/sys'];
  }, options);

test('a container of an ordinary user', () => {
  expect(text(small(), 'rootless')).toMatchInlineSnapshot(`
    "  inputs  stdin0 stdout1 stderr2
    become_root  ; default: user namespace
    unshare  flags=cgroup  ; /linux/namespaces
    propagation  flags=private  ; default: propagation
    clone_mount  dst=root3 path=/images/demo recursive  ; /root/path
    mount_attributes  src=root3 propagation=private recursive  ; /root/path
    attach_host  src=root3 path=/  ; /root/path
    fsmount  dst=proc4 fstype=proc options=[] attributes=nosuid,nodev,noexec  ; /mounts/0
    attach  src=proc4 root=root3 path=proc ordinary  ; /mounts/0
    fsmount  dst=tmpfs5 fstype=tmpfs options=[mode=755 size=65536k] attributes=nosuid,strictatime  ; /mounts/1
    attach  src=tmpfs5 root=root3 path=dev  ; /mounts/1
    fsmount  dst=devpts6 fstype=devpts options=[newinstance ptmxmode=0666 mode=0620 gid=5] attributes=nosuid,noexec  ; /mounts/2
    attach  src=devpts6 root=tmpfs5 path=pts  ; /mounts/2
    clone_mount  dst=device7 path=/dev/null  ; default: /dev
    attach  src=device7 root=tmpfs5 path=null  ; default: /dev
    clone_mount  dst=device8 path=/dev/zero  ; default: /dev
    attach  src=device8 root=tmpfs5 path=zero  ; default: /dev
    clone_mount  dst=device9 path=/dev/full  ; default: /dev
    attach  src=device9 root=tmpfs5 path=full  ; default: /dev
    clone_mount  dst=device10 path=/dev/random  ; default: /dev
    attach  src=device10 root=tmpfs5 path=random  ; default: /dev
    clone_mount  dst=device11 path=/dev/urandom  ; default: /dev
    attach  src=device11 root=tmpfs5 path=urandom  ; default: /dev
    clone_mount  dst=device12 path=/dev/tty  ; default: /dev
    attach  src=device12 root=tmpfs5 path=tty  ; default: /dev
    symlink  root=tmpfs5 path=fd target=/proc/self/fd  ; default: /dev
    symlink  root=tmpfs5 path=stdin target=/proc/self/fd/0  ; default: /dev
    symlink  root=tmpfs5 path=stdout target=/proc/self/fd/1  ; default: /dev
    symlink  root=tmpfs5 path=stderr target=/proc/self/fd/2  ; default: /dev
    symlink  root=tmpfs5 path=ptmx target=pts/ptmx  ; default: /dev
    open  dst=null13 path=/dev/null  ; default: null device
    mask  root=proc4 path=kcore null=null13 [unless ENOENT,ENOTDIR]  ; /linux/maskedPaths/0
    readonly  root=proc4 path=sys [unless ENOENT,ENOTDIR]  ; /linux/readonlyPaths/0
    pivot  root=root3  ; default: root
    link_up  name=lo  ; default: loopback
    chdir  path=/  ; /process/cwd
    find  files=[/bin/true]  ; /process/args/0
    sync  tag=1  ; default: start
    reap  capabilities=kill  ; default: reaper
    new_session  ; default: session
    new_keyring  name=_ses.demo [unless ENOSYS,EPERM,EDQUOT]  ; default: keyring
    stdio  stdin=stdin0 stdout=stdout1 stderr=stderr2  ; default: stdio
    close_from  fd=3  ; default: descriptors
    umask  mask=0022  ; /process/user/umask
    no_new_privs  ; /process/noNewPrivileges
    bounding  capabilities=none  ; /process/capabilities/bounding
    ids  uid=0 gid=0 groups=<0 bytes>  ; /process/user
    capabilities  effective=none permitted=none inheritable=none ambient=none  ; /process/capabilities
    exec  files=[/bin/true] argv=[/bin/true] env=[PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin]  ; /process/args
    "
  `);
});

test('what root plans otherwise: a root from a helper, with mapped owners', () => {
  const plan = planContainer(small(), facts('root'));
  expect(plan.inputs.filter(({ kind }) => kind === 'mount')).toEqual([
    { kind: 'mount', register: 'root3', source: '/images/demo', recursive: true, idmap: true, origin: '/root/path' },
  ]);
  expect(explain(plan.segment).split('\n').slice(0, 6).join('\n')).toMatchInlineSnapshot(`
    "     inputs            stdin0 stdout1 stderr2 root3
      0  become_root                                                                      ; default: user namespace
      1  unshare           flags=cgroup                                                   ; /linux/namespaces
      2  propagation       flags=private                                                  ; default: propagation
      3  mount_attributes  src=root3 propagation=private recursive                        ; /root/path
      4  attach_host       src=root3 path=/                                               ; /root/path"
  `);
});

test('this machine as the root', () => {
  const rows = text(small({ root: { kind: 'host' } }), 'single-id').split('\n');
  expect(rows.filter((row) => row.includes('; default: host root')).join('\n')).toMatchInlineSnapshot(`
    "clone_mount  dst=usr5 path=/usr recursive  ; default: host root
    clone_mount  dst=bin6 path=/bin recursive  ; default: host root
    clone_mount  dst=lib7 path=/lib recursive  ; default: host root
    clone_mount  dst=etc8 path=/etc recursive  ; default: host root
    fsmount  dst=root3 fstype=tmpfs options=[mode=755]  ; default: host root
    attach_host  src=root3 path=/  ; default: host root
    directory  root=root3 path=home mode=0755  ; default: host root
    directory  root=root3 path=root mode=0700  ; default: host root
    directory  root=root3 path=run mode=0755  ; default: host root
    directory  root=root3 path=srv mode=0755  ; default: host root
    directory  root=root3 path=mnt mode=0755  ; default: host root
    directory  root=root3 path=media mode=0755  ; default: host root
    directory  root=root3 path=tmp mode=01777  ; default: host root
    directory  root=root3 path=var mode=0755  ; default: host root
    directory  root=root3 path=var/tmp mode=01777  ; default: host root
    directory  root=root3 path=proc mode=0555  ; default: host root
    directory  root=root3 path=sys mode=0555  ; default: host root
    directory  root=root3 path=dev mode=0755  ; default: host root
    fsmount  dst=stage4 fstype=tmpfs options=[mode=700]  ; default: host root
    attach_host  src=stage4 path=/proc  ; default: host root
    mount_attributes  src=usr5 set=ro,nosuid,nodev propagation=private recursive  ; default: host root
    attach  src=usr5 root=stage4 path=usr/lower  ; default: host root
    directory  root=stage4 path=usr/upper mode=0755  ; default: host root
    directory  root=stage4 path=usr/work mode=0755  ; default: host root
    mount_attributes  src=bin6 set=ro,nosuid,nodev propagation=private recursive  ; default: host root
    attach  src=bin6 root=stage4 path=bin/lower  ; default: host root
    directory  root=stage4 path=bin/upper mode=0755  ; default: host root
    directory  root=stage4 path=bin/work mode=0755  ; default: host root
    mount_attributes  src=lib7 set=ro,nosuid,nodev propagation=private recursive  ; default: host root
    attach  src=lib7 root=stage4 path=lib/lower  ; default: host root
    directory  root=stage4 path=lib/upper mode=0755  ; default: host root
    directory  root=stage4 path=lib/work mode=0755  ; default: host root
    mount_attributes  src=etc8 set=ro,nosuid,nodev propagation=private recursive  ; default: host root
    attach  src=etc8 root=stage4 path=etc/lower  ; default: host root
    directory  root=stage4 path=etc/upper mode=0755  ; default: host root
    directory  root=stage4 path=etc/work mode=0755  ; default: host root
    enter  dir=stage4  ; default: host root
    fsmount  dst=overlay9 fstype=overlay options=[lowerdir=usr/lower upperdir=usr/upper workdir=usr/work userxattr] [unless EPERM,EINVAL,ENODEV,EOPNOTSUPP] [skip 1]  ; default: host root
    clone_below  dst=overlay9 root=stage4 path=usr/lower recursive  ; default: host root (instead of overlay)
    attach  src=overlay9 root=root3 path=usr  ; default: host root
    fsmount  dst=overlay10 fstype=overlay options=[lowerdir=bin/lower upperdir=bin/upper workdir=bin/work userxattr] [unless EPERM,EINVAL,ENODEV,EOPNOTSUPP] [skip 1]  ; default: host root
    clone_below  dst=overlay10 root=stage4 path=bin/lower recursive  ; default: host root (instead of overlay)
    attach  src=overlay10 root=root3 path=bin  ; default: host root
    fsmount  dst=overlay11 fstype=overlay options=[lowerdir=lib/lower upperdir=lib/upper workdir=lib/work userxattr] [unless EPERM,EINVAL,ENODEV,EOPNOTSUPP] [skip 1]  ; default: host root
    clone_below  dst=overlay11 root=stage4 path=lib/lower recursive  ; default: host root (instead of overlay)
    attach  src=overlay11 root=root3 path=lib  ; default: host root
    fsmount  dst=overlay12 fstype=overlay options=[lowerdir=etc/lower upperdir=etc/upper workdir=etc/work userxattr] [unless EPERM,EINVAL,ENODEV,EOPNOTSUPP] [skip 1]  ; default: host root
    clone_below  dst=overlay12 root=stage4 path=etc/lower recursive  ; default: host root (instead of overlay)
    attach  src=overlay12 root=root3 path=etc  ; default: host root"
  `);
});

test('a terminal', () => {
  const asked = small({ stdio: 'terminal', consoleSize: { width: 80, height: 24 } });
  const rows = text(asked, 'rootless').split('\n');
  expect(rows.filter((row) => /slave|master|console/.test(row)).join('\n')).toMatchInlineSnapshot(`
    "pty  master=master10 slave=slave11 devpts=devpts3  ; /process/terminal
    window  src=slave11 columns=80 rows=24  ; /process/consoleSize
    clone_below  dst=console12 root=slave11 path=""  ; /process/terminal
    attach  src=console12 root=tmpfs2 path=console  ; /process/terminal
    send_handle  src=master10 tag=2  ; /process/terminal
    controlling_terminal  src=slave11  ; /process/terminal
    stdio  stdin=slave11 stdout=slave11 stderr=slave11  ; default: stdio"
  `);
});
