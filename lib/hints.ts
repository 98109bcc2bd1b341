import type { Facts } from './plan/facts.ts';
import type { OpName } from './program/ops.ts';

/** Where something was refused: an op of the init, or a step of the host. */
export type Place = OpName | 'spawn' | 'maps' | 'newuidmap' | 'cgroup' | 'input' | 'state';

export interface Circumstance {
  readonly at: Place;
  /** The system call inside the op, where it was one. */
  readonly step?: string | undefined;
  readonly errno: string;
  /** The string that was being worked on. */
  readonly detail: string;
  readonly operands?: Readonly<Record<string, unknown>> | undefined;
  readonly facts?: Facts | undefined;
}

interface Row {
  readonly at: readonly Place[];
  readonly errno: readonly string[];
  readonly step?: readonly string[];
  readonly when?: (circumstance: Circumstance) => boolean;
  readonly hint: string | ((circumstance: Circumstance) => string);
}

const fstype =
  (...types: string[]) =>
  ({ operands }: Circumstance) =>
    types.includes(String(operands?.['fstype']));
const option =
  (key: string) =>
  ({ detail }: Circumstance) =>
    detail === key || detail.startsWith(`${key}=`);
const ordinary = ({ facts }: Circumstance) => facts !== undefined && !facts.privileged;

const hiddenBy = (facts: Facts | undefined) =>
  facts?.hiddenProc === undefined ? '' : ` by what is mounted on ${facts.hiddenProc.join(', ')}`;

/** What a user can do about it; the first row that fits counts, so the particular stand before the general. */
const rows: readonly Row[] = [
  // ---- making the process ------------------------------------------------------------------------------------------
  {
    at: ['spawn', 'unshare'],
    errno: ['ENOSPC', 'EUSERS'],
    hint: 'The limit on namespaces is reached: raise user.max_user_namespaces (and its siblings in /proc/sys/user), or end some containers.',
  },
  {
    at: ['spawn'],
    errno: ['EPERM'],
    when: ({ facts }) => facts?.privileged === true,
    hint: ({ step }) => filtered(step),
  },
  {
    at: ['spawn', 'unshare'],
    errno: ['EPERM', 'EACCES'],
    hint: 'This host keeps user namespaces from ordinary programs: look at kernel.apparmor_restrict_unprivileged_userns, kernel.unprivileged_userns_clone, and the seccomp profile of the container that you are in. `runts doctor` says which.',
  },
  {
    at: ['spawn'],
    errno: ['EAGAIN', 'ENOMEM'],
    hint: 'The limit on processes (ulimit -u, pids.max of the cgroup) or the memory is used up.',
  },
  {
    at: ['spawn'],
    errno: ['EINVAL', 'ENOSYS'],
    hint: 'The kernel lacks one of the namespaces, or is older than 5.14, or the seccomp profile of the container that you are in hides clone3. `runts doctor` says which.',
  },
  {
    at: ['maps'],
    errno: ['EPERM'],
    hint: 'Without privileges only the own uid and gid can be mapped; further ids need newuidmap and newgidmap (package uidmap) and entries in /etc/subuid and /etc/subgid.',
  },
  {
    at: ['maps'],
    errno: ['EINVAL'],
    hint: 'The ranges of a map must not overlap, and ids outside must exist in the user namespace that we are in.',
  },
  {
    at: ['newuidmap'],
    errno: ['EPERM', 'EACCES'],
    hint: 'newuidmap and newgidmap must be set-uid root, or have the file capabilities cap_setuid and cap_setgid.',
  },
  {
    at: ['newuidmap'],
    errno: ['exit'],
    hint: 'The ids of the host must be given to this user in /etc/subuid and /etc/subgid (which are, says `getsubids USER`): `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER`.',
  },
  {
    at: ['become_root'],
    errno: ['EINVAL'],
    hint: 'uid 0 and gid 0 of the container must be mapped: linux.uidMappings and linux.gidMappings.',
  },

  {
    at: ['join'],
    errno: ['EPERM'],
    hint: ({ facts }) =>
      facts?.privileged === false
        ? 'One of the namespaces belongs to somebody else: an ordinary user can enter only those that a user namespace of theirs owns, and enters that with them ({"type": "user", "path": …}).'
        : 'Entering a namespace takes CAP_SYS_ADMIN in the user namespace that owns it; a user namespace that we are in already cannot be entered again.',
  },
  {
    at: ['join_process'],
    errno: ['ESRCH'],
    hint: 'The container has ended meanwhile.',
  },
  {
    at: ['join_process'],
    errno: ['EPERM'],
    hint: 'Entering the namespaces of a container takes the rights of whoever made it.',
  },
  {
    at: ['join', 'expect_namespace'],
    errno: ['EINVAL', 'ENOTTY', 'EBADF'],
    hint: 'A path of linux.namespaces leads to a namespace of another type, or to none at all: `readlink` on it says which.',
  },
  {
    at: ['write'],
    errno: ['EINVAL', 'ENOENT'],
    when: ({ operands }) => String(operands?.['path']).startsWith('self/attr/'),
    hint: 'The security module of this label is not at work on this host (AppArmor: /sys/module/apparmor/parameters/enabled, SELinux: /sys/fs/selinux), or it has no such profile or label. `aa-status` shows the profiles that are loaded.',
  },
  {
    at: ['write'],
    errno: ['EPERM', 'EACCES'],
    when: ({ operands }) => String(operands?.['path']).startsWith('self/attr/'),
    hint: 'The security module does not let this process change to that label: the one that we run under, or no_new_privs, forbids it.',
  },
  {
    at: ['write'],
    errno: ['ERANGE', 'EINVAL'],
    when: ({ operands }) => operands?.['path'] === 'self/timens_offsets',
    hint: 'No clock can be set before its beginning, or further than the kernel counts: linux.timeOffsets.',
  },
  {
    at: ['write'],
    errno: ['EACCES', 'EPERM'],
    when: ({ operands }) => operands?.['path'] === 'self/oom_score_adj',
    hint: 'The score can be lowered only with CAP_SYS_RESOURCE on the host: ask for one that is not below that of the caller.',
  },

  // ---- cgroups -----------------------------------------------------------------------------------------------------
  {
    at: ['cgroup'],
    errno: ['EPERM', 'EACCES'],
    step: ['bpf'],
    hint: 'To filter the devices of a cgroup takes CAP_SYS_ADMIN on the host, and the seccomp profile of the container that you are in must let us have bpf.',
  },
  {
    at: ['cgroup'],
    errno: ['EACCES', 'EPERM', 'EROFS'],
    hint: 'No cgroup is delegated to this user there: run in a unit with Delegate=yes (`systemd-run --user --scope -p Delegate=yes …`) and make linux.cgroupsPath a relative path, which begins at the cgroup that is delegated; or leave it and the limits out.',
  },
  {
    at: ['cgroup'],
    errno: ['EBUSY'],
    hint: 'A cgroup with processes of its own cannot give controllers to its children, and one that gives them can have no processes: move them to a cgroup below it (cgroups(7), "no internal processes").',
  },
  {
    at: ['cgroup'],
    errno: ['EOPNOTSUPP'],
    hint: 'The cgroup takes no processes: it is below one of the threaded type.',
  },
  {
    at: ['cgroup'],
    errno: ['ENOENT'],
    hint: 'The controller of this limit is not enabled here: look at cgroup.controllers and cgroup.subtree_control of the directories above. On a host with cgroup v1 the controllers are there.',
  },
  { at: ['cgroup'], errno: ['EINVAL', 'ERANGE'], hint: 'The kernel does not accept this value for this limit.' },
  {
    at: ['cgroup'],
    errno: ['ENODEV', 'ENXIO'],
    hint: 'No such block device: limits of devices are for whole disks (lsblk shows their numbers), not for partitions.',
  },
  {
    at: ['cgroup'],
    errno: ['EXDEV', 'ELOOP'],
    hint: 'It is not of the cgroup v2 file system, or a link or another mount is on the way to it (look at /proc/self/mountinfo): only what is in that file system, below where it is mounted, is taken for a cgroup.',
  },
  { at: ['cgroup'], errno: ['ENAMETOOLONG'], hint: 'Choose a shorter linux.cgroupsPath, or a shorter id.' },
  {
    at: ['cgroup'],
    errno: ['EAGAIN', 'ENOSPC'],
    hint: 'A limit on cgroups is reached: cgroup.max.descendants or cgroup.max.depth above.',
  },

  // ---- mounts ------------------------------------------------------------------------------------------------------
  {
    at: ['fuse_mount'],
    step: ['open'],
    errno: ['ENOENT', 'ENODEV', 'ENXIO', 'EACCES', 'EPERM'],
    hint: 'A system view is served over FUSE. As root: modprobe fuse, and chmod 666 /dev/fuse; in a container: pass the device on. Or leave systemView away.',
  },
  {
    at: ['fuse_mount'],
    errno: ['EPERM', 'ENODEV', 'EINVAL'],
    hint: 'This kernel lets nobody but root mount FUSE in a user namespace (Linux 4.18 can), or a security module forbids it. Leave systemView away.',
  },
  {
    at: ['fsmount', 'clone_mount', 'attach', 'attach_host'],
    errno: ['EPERM'],
    step: ['fsopen', 'open_tree', 'move_mount'],
    when: ({ facts }) => facts?.privileged === true,
    hint: ({ step }) => filtered(step),
  },
  {
    at: ['fsmount'],
    errno: ['EPERM'],
    when: ({ operands, facts }) =>
      fstype('proc')({ operands } as Circumstance) && facts?.privileged === true && facts.hiddenProc === undefined,
    hint: ({ step }) => filtered(step),
  },
  {
    at: ['fsmount'],
    errno: ['EPERM', 'EBUSY'],
    when: fstype('proc'),
    hint: ({ facts }) =>
      `The host's /proc is partly hidden${hiddenBy(facts)} (are you inside a container?), and who sees a part of it only is given no whole one. Start the container that you are in with a /proc that is whole (docker: --security-opt systempaths=unconfined, podman: --security-opt unmask=ALL, Kubernetes: procMount: Unmasked); or leave the pid namespace away, and this /proc is bound.`,
  },
  {
    at: ['fsmount'],
    errno: ['EPERM', 'EBUSY'],
    when: fstype('sysfs'),
    hint: 'sysfs belongs to the network namespace: with the network of the host, bind /sys instead of mounting it.',
  },
  {
    at: ['fsmount'],
    errno: ['EPERM', 'EBUSY', 'EACCES'],
    when: fstype('mqueue'),
    hint: 'mqueue belongs to the ipc namespace: give the container one of its own, or bind /dev/mqueue.',
  },
  {
    at: ['fsmount'],
    errno: ['EPERM', 'EBUSY', 'EACCES'],
    when: fstype('cgroup2', 'cgroup'),
    hint: 'A cgroup mount needs a cgroup namespace of the container; without one bind /sys/fs/cgroup.',
  },
  {
    at: ['fsmount'],
    errno: ['EINVAL'],
    when: ({ detail, operands }) => fstype('devpts')({ operands } as Circumstance) && detail.startsWith('gid='),
    hint: 'The gid of devpts is not mapped: map gid 5 as well (subordinate ids), or leave the option out.',
  },
  { at: ['fsmount'], errno: ['EINVAL'], when: option('size'), hint: 'tmpfs sizes are numbers with k, m, g or %' },
  {
    at: ['fsmount'],
    errno: ['EINVAL'],
    when: option('uid'),
    hint: 'The uid must be mapped in the user namespace of the container.',
  },
  {
    at: ['fsmount'],
    errno: ['EINVAL'],
    when: option('gid'),
    hint: 'The gid must be mapped in the user namespace of the container.',
  },
  { at: ['fsmount'], errno: ['EINVAL'], when: option('mode'), hint: 'The mode is an octal number: mode=1777.' },
  {
    at: ['fsmount'],
    errno: ['EPERM', 'EINVAL', 'EOPNOTSUPP', 'ELOOP'],
    when: fstype('overlay'),
    hint: 'Overlay: the upper and the work directory must be on one file system, that can hold extended attributes and is not itself an overlay; in a user namespace the kernel must be 5.11 or newer.',
  },
  {
    at: ['fsmount'],
    errno: ['ENOENT'],
    when: fstype('overlay'),
    hint: 'Overlay: every lower, the upper and the work directory must exist.',
  },
  {
    at: ['fsmount'],
    errno: ['ENODEV'],
    hint: ({ operands }) =>
      `The kernel has no file system type ${operands?.['fstype']}, or its module is not loaded: see /proc/filesystems.`,
  },
  {
    at: ['fsmount'],
    errno: ['EPERM'],
    hint: 'This type of file system cannot be mounted in a user namespace. Mount it on the host and bind it.',
  },
  {
    at: ['fsmount'],
    errno: ['EINVAL'],
    step: ['fsconfig'],
    hint: ({ operands }) => `${operands?.['fstype']} does not have this option, or not with this value.`,
  },
  {
    at: ['clone_mount', 'open', 'input'],
    errno: ['ENOENT'],
    hint: 'The source must exist on this host; it is never made.',
  },
  {
    at: ['clone_mount', 'clone_below'],
    errno: ['EINVAL'],
    hint: 'Mounts below the source are locked to it, or it is in another mount namespace: bind it recursively (rbind).',
  },
  {
    at: ['clone_mount', 'open', 'input'],
    errno: ['EACCES'],
    hint: 'This user may not reach the source: a directory on the way to it is closed to them.',
  },
  {
    at: ['clone_mount'],
    errno: ['EPERM'],
    hint: 'Cloning a mount needs privileges in the user namespace that owns the mount namespace.',
  },
  {
    at: ['mount_attributes', 'readonly'],
    errno: ['EPERM'],
    hint: 'Flags of the host mount (nosuid, nodev, noexec, ro) are locked in a user namespace: they can be added but not taken away.',
  },
  {
    at: ['idmap'],
    errno: ['EINVAL', 'EOPNOTSUPP'],
    hint: 'This file system cannot be id-mapped (NFS, FUSE and others), or is mapped already: leave idmap out.',
  },
  {
    at: ['idmap'],
    errno: ['EPERM'],
    hint: 'Id-mapping a mount needs root on the host: the owner of the file system must be the one who maps it.',
  },
  {
    at: ['attach'],
    errno: ['ENOTDIR', 'EISDIR'],
    hint: 'A directory can be mounted on a directory only, and a file on a file; a component before the last one must be a directory.',
  },
  {
    at: ['attach'],
    errno: ['EROFS'],
    hint: 'The mount point is missing and cannot be made on a read-only file system: make it in the image.',
  },
  {
    at: ['attach', 'attach_host', 'mask', 'readonly'],
    errno: ['ENOSPC'],
    hint: 'The limit on mounts is reached: fs.mount-max.',
  },
  {
    at: ['attach'],
    errno: ['ELOOP', 'ENOTDIR'],
    when: ({ operands }) => operands?.['ordinary'] === 1,
    hint: ({ operands }) =>
      `/${operands?.['path']} must be mounted on ordinary directory, and on the way to it no link is allowed. Correct the image.`,
  },
  {
    at: ['attach', 'mask', 'readonly', 'open_below', 'directory', 'file', 'node', 'symlink'],
    errno: ['ELOOP', 'EXDEV'],
    hint: 'The path goes through a symbolic link, where none is allowed, or one that leads out of the container. Correct the path or the image.',
  },
  {
    at: ['mask'],
    errno: ['EINVAL', 'ENODEV'],
    step: ['null_device'],
    hint: '/dev/null of this host is not the null device (character 1:3).',
  },
  {
    at: ['pivot'],
    errno: ['EINVAL', 'EPERM'],
    hint: 'The root of the container must be a mount of its own and not shared with the host.',
  },
  {
    at: ['move_root'],
    errno: ['EINVAL', 'EPERM'],
    hint: 'The root of the container must be a mount of its own, on one that is not shared with the host. Without --no-pivot it need not be moved.',
  },
  {
    at: ['reconfigure'],
    errno: ['EINVAL'],
    hint: 'The file system does not take this option, or not any more once it is in use: its documentation says which can change.',
  },
  {
    at: ['reconfigure'],
    errno: ['EPERM', 'EROFS', 'EBUSY'],
    hint: 'The options of a file system are for those to change in whose user namespace it was mounted: bind it with other mount attributes instead.',
  },
  {
    at: ['copy_tree'],
    errno: ['ENOSPC', 'EDQUOT'],
    hint: 'What the image has there does not fit (tmpcopyup): give the tmpfs a larger `size=`, or `nr_inodes=`.',
  },
  {
    at: ['copy_tree'],
    errno: ['EACCES'],
    hint: 'What the image has there cannot be read: it belongs to an id that the container does not map.',
  },
  {
    at: ['copy_tree'],
    errno: ['ESTALE', 'ENAMETOOLONG'],
    hint: 'What the image has there changes while it is copied, or is nested deeper than 16384 directories: leave tmpcopyup out.',
  },

  // ---- files -------------------------------------------------------------------------------------------------------
  {
    at: ['node'],
    errno: ['EPERM'],
    hint: 'Device nodes cannot be made in a user namespace: bind the device of the host (a mount, not linux.devices with another path or number).',
  },
  {
    at: ['node'],
    errno: ['EEXIST', 'EBUSY'],
    hint: 'The image has something else at the path of the device, which must not be taken for it: remove it from the image.',
  },
  {
    at: ['write'],
    errno: ['ENOENT'],
    hint: 'The kernel has no such setting, or it does not belong to a namespace of the container.',
  },
  {
    at: ['write'],
    errno: ['EACCES', 'EPERM'],
    hint: "The setting is not the container's own: net.* needs its own network namespace, kernel.shm* and fs.mqueue.* its own ipc namespace; a negative oomScoreAdj needs privileges.",
  },
  { at: ['write'], errno: ['EINVAL', 'ERANGE'], hint: 'The kernel does not accept this value for the setting.' },
  {
    at: ['chown', 'own'],
    errno: ['EINVAL', 'EOVERFLOW'],
    hint: 'The owner must be mapped in the user namespace of the container.',
  },
  {
    at: ['directory', 'file', 'symlink', 'node', 'chmod', 'chown'],
    errno: ['EROFS'],
    hint: 'The root file system is read-only: make the entry in the image.',
  },
  {
    at: ['directory', 'file', 'attach', 'symlink', 'node'],
    errno: ['EACCES'],
    hint: 'The root file system belongs to an id that the container does not map, or its directory is closed to this user.',
  },

  // ---- the process -------------------------------------------------------------------------------------------------
  { at: ['hostname', 'domainname'], errno: ['EINVAL', 'ENAMETOOLONG'], hint: 'The name may have 64 bytes at most.' },
  { at: ['hostname', 'domainname'], errno: ['EPERM'], hint: 'The name needs a uts namespace of the container.' },
  {
    at: ['net_device'],
    errno: ['ENODEV'],
    hint: 'This host has no network device of that name in the namespace that we are in: `ip link`.',
  },
  {
    at: ['net_device'],
    errno: ['EEXIST'],
    hint: 'The container has a device of that name already: choose another one (linux.netDevices.*.name).',
  },
  {
    at: ['net_device'],
    errno: ['ENAMETOOLONG', 'EINVAL'],
    hint: 'The name of a device has 1 to 15 bytes, no blank and none of / : %; and some devices, loopback and wireless ones among them, cannot leave their namespace.',
  },
  {
    at: ['net_device'],
    errno: ['EPERM'],
    hint: 'To move a device of the host takes CAP_NET_ADMIN and CAP_SYS_ADMIN there: be root.',
  },
  {
    at: ['net_device'],
    errno: ['E2BIG'],
    hint: 'The device has more than 256 permanent addresses.',
  },
  { at: ['link_up'], errno: ['ENODEV'], hint: 'The network namespace has no interface of this name.' },
  {
    at: ['ids'],
    errno: ['EPERM'],
    step: ['setgroups'],
    hint: 'Supplementary groups cannot be set where the user namespace denies setgroups(2): that takes subordinate gids, or leave user.additionalGids out.',
  },
  {
    at: ['ids'],
    errno: ['EINVAL'],
    hint: 'The user, the group and every additional group must be mapped in the user namespace: with one mapped id only 0 (or the one that was kept) works.',
  },
  {
    at: ['stdio'],
    errno: ['EISDIR'],
    hint: 'A directory as standard input would show the command what is outside: redirect from a file.',
  },
  { at: ['chdir', 'chdir_again'], errno: ['ENOENT'], hint: 'The working directory must exist in the container.' },
  {
    at: ['chdir', 'chdir_again'],
    errno: ['ENOTDIR', 'EACCES'],
    hint: 'The working directory must be a directory that the user of the command may enter.',
  },
  {
    at: ['rlimit'],
    errno: ['EPERM'],
    hint: 'A hard limit can be raised only with CAP_SYS_RESOURCE on the host: ask for at most what `ulimit -H` says, or raise that (limits.conf(5)).',
  },
  {
    at: ['scheduler', 'io_priority'],
    errno: ['EPERM'],
    hint: 'A better place than others have takes CAP_SYS_NICE on the host, or RLIMIT_NICE and RLIMIT_RTPRIO that allow it.',
  },
  {
    at: ['scheduler'],
    errno: ['EINVAL', 'EBUSY'],
    hint: 'The kernel does not take these values together: realtime policies have a priority from 1 to 99, the others 0; SCHED_DEADLINE takes processors that are not bound.',
  },
  {
    at: ['affinity'],
    errno: ['EINVAL'],
    hint: "None of these processors is there, or in the container's cgroup (cpuset.cpus.effective).",
  },
  {
    at: ['memory_policy'],
    errno: ['EINVAL', 'EPERM'],
    hint: "The nodes must exist and be in the container's cgroup (cpuset.mems.effective), and the flags must fit the mode.",
  },
  {
    at: ['hook'],
    errno: ['ENOENT', 'EACCES'],
    hint: 'The path of a createContainer hook is one of the host, that of a startContainer hook one of the container.',
  },
  {
    at: ['hook'],
    errno: ['ECANCELED'],
    hint: 'The hook refused, and its last words say why: what it is told is on its standard input, its environment is only what the configuration gives it.',
  },
  {
    at: ['hook'],
    errno: ['ETIMEDOUT'],
    hint: 'The hook, and what was in its process group, was killed: give it a longer `timeout` (seconds), or let it leave its work to a process of its own.',
  },
  {
    at: ['hook'],
    errno: ['ENOEXEC'],
    hint: 'A hook is executed without a shell: a script needs a #! line, a binary the right architecture.',
  },
  {
    at: ['memory_policy'],
    errno: ['ENOSYS'],
    hint: 'This kernel knows no memory policies (CONFIG_NUMA): leave linux.memoryPolicy out.',
  },
  {
    at: ['descriptors'],
    errno: ['EINVAL', 'EMFILE', 'EBADF'],
    hint: 'More descriptors are handed on than the process may have open: raise RLIMIT_NOFILE (`ulimit -n`), or hand on fewer.',
  },
  {
    at: ['listener'],
    errno: ['EBUSY'],
    hint: 'Only one filter of a process can have a listener, and we run under one that has it already.',
  },
  {
    at: ['pty', 'open_below'],
    errno: ['ENOENT', 'ENODEV', 'ENOTTY'],
    when: ({ operands }) => operands?.['path'] === 'dev/pts' || operands?.['devpts'] !== undefined,
    hint: 'A terminal needs a devpts in the container: {"type": "devpts", "destination": "/dev/pts"} in its mounts.',
  },
  { at: ['rlimit'], errno: ['EINVAL'], hint: 'The soft limit must not be above the hard one.' },
  {
    at: ['capabilities', 'bounding'],
    errno: ['EPERM'],
    hint: 'A capability that is asked for is not in the set that the container starts with.',
  },
  {
    at: ['seccomp', 'listener'],
    errno: ['EACCES'],
    hint: 'A filter needs noNewPrivileges, or privileges when it is installed.',
  },
  {
    at: ['seccomp', 'listener'],
    errno: ['EINVAL', 'ENOMEM'],
    hint: 'The kernel does not accept this filter: it may have 4096 instructions, and the action or flag that it uses must exist (/proc/sys/kernel/seccomp/actions_avail).',
  },
  {
    at: ['join'],
    errno: ['EPERM'],
    hint: 'The namespace belongs to a user namespace in which we have no privileges: join its user namespace as well, or be root.',
  },
  {
    at: ['join', 'join_process', 'unshare'],
    errno: ['EINVAL'],
    hint: 'It is not a namespace of that kind, or cannot be entered from here (a user namespace is entered once).',
  },
  {
    at: ['pty'],
    errno: ['ENOSPC'],
    hint: 'The limit on pseudo-terminals is reached: the `max` option of devpts, or kernel.pty.max.',
  },
  {
    at: ['find', 'exec'],
    errno: ['ENOEXEC'],
    hint: 'It is not a program of this machine: a script needs a #! line, a binary the right architecture.',
  },
  {
    at: ['find', 'exec'],
    errno: ['EACCES', 'EPERM'],
    hint: 'The file must have the execute bit, on a mount without noexec, and every directory above it must be open to the user of the command.',
  },
  {
    at: ['exec'],
    errno: ['E2BIG'],
    hint: 'Arguments and environment together are limited (a quarter of the stack limit; one string 128 KiB).',
  },
];

/** The Linux that brought a system call, of those that older kernels do not have, or filters do not know. */
const since: Readonly<Record<string, string>> = {
  memfd_create: '3.17',
  seccomp: '3.17',
  execveat: '3.19',
  statx: '4.11',
  bpf: '4.15',
  pidfd_send_signal: '5.1',
  open_tree: '5.2',
  move_mount: '5.2',
  fsopen: '5.2',
  fsconfig: '5.2',
  fsmount: '5.2',
  fspick: '5.2',
  pidfd_open: '5.3',
  clone3: '5.3',
  openat2: '5.6',
  faccessat2: '5.8',
  close_range: '5.9',
  mount_setattr: '5.12',
};

/** Steps that have another name than the system call that they are. */
const callOfStep: Readonly<Record<string, string>> = {
  fsconfig_create: 'fsconfig',
  fstat: 'statx',
  faccessat: 'faccessat2',
  execve: 'execveat',
  clone: 'clone3',
};

/** The system call of a step, where it is one of the newer ones. */
export function newerCall(step: string | undefined, detail = ''): string | undefined {
  if (step === undefined) return undefined;
  const call = step === 'open' && detail.startsWith('memfd') ? 'memfd_create' : (callOfStep[step] ?? step);
  return call in since ? call : undefined;
}

/** The kernel itself refuses these to nobody: EPERM is the word of a filter. */
const refusedToNobody = [
  'memfd_create',
  'statx',
  'pidfd_send_signal',
  'pidfd_open',
  'openat2',
  'faccessat2',
  'close_range',
];

/** Whether it was a filter around us that refused, or a kernel that does not have the call: no fault of the container's. */
export function isWithheld({ errno, step, detail }: Pick<Circumstance, 'errno' | 'step' | 'detail'>): boolean {
  const call = newerCall(step, detail);
  if (call === undefined) return false;
  return errno === 'ENOSYS' || (errno === 'EPERM' && refusedToNobody.includes(call));
}

const profile =
  'the seccomp profile of the container that you are in hides this system call from it: let that container have it (docker and podman: --security-opt seccomp=…).';
const hidden = `The kernel is older than 5.14, or ${profile}`;

/** What to do about a system call that is not to be had. */
export function withheld(step: string | undefined, detail = ''): string {
  const call = newerCall(step, detail);
  return call === undefined ? hidden : `${call} is in Linux since ${since[call]}: the kernel is older, or ${profile}`;
}

/** Root is refused, who has every right. */
function filtered(step: string | undefined): string {
  const call = newerCall(step) ?? 'this system call';
  return `We have the capability that this takes (CAP_SYS_ADMIN): the seccomp profile of the container that you are in refuses ${call}: let that container have it (docker and podman: --security-opt seccomp=…).`;
}

/** What to do when something of this host is used up, wherever that is met. */
export function usedUp(errno: string): string | undefined {
  return exhausted[errno];
}

const full = 'The file system has no room, or no inodes, left (`df`, `df -i`): make some, or use another directory.';
const exhausted: Readonly<Record<string, string>> = {
  EMFILE: 'Raise the limit on open files (`ulimit -n`, RLIMIT_NOFILE), or do less at a time.',
  ENFILE: 'The whole host has too many open files: raise fs.file-max.',
  ENOSPC: full,
  EDQUOT: full,
  ENOMEM: 'The memory is used up: that of the host, or of the cgroup that we are in (memory.max).',
  EAGAIN: 'The limit on processes is used up (`ulimit -u`, pids.max of the cgroup that we are in).',
};

/** What to do about a refusal, where there is something that a user can do. */
export function hintFor(circumstance: Circumstance): string | undefined {
  const { errno, step, detail } = circumstance;
  if (isWithheld(circumstance)) return withheld(step, detail);
  const row = rows.find((r) => fits(r, circumstance));
  if (row === undefined) return errno === 'ENOSYS' ? hidden : usedUp(errno);
  const hint = typeof row.hint === 'string' ? row.hint : row.hint(circumstance);
  return needsSubordinateIds(circumstance) ? `${hint} No subordinate ids were found for this user.` : hint;
}

function fits(row: Row, circumstance: Circumstance): boolean {
  return (
    row.at.includes(circumstance.at) &&
    row.errno.includes(circumstance.errno) &&
    (row.step === undefined || row.step.includes(circumstance.step ?? '')) &&
    (row.when === undefined || row.when(circumstance))
  );
}

function needsSubordinateIds(circumstance: Circumstance): boolean {
  const { at, facts } = circumstance;
  return (at === 'ids' || at === 'maps') && ordinary(circumstance) && facts?.subordinate.uids.length === 0;
}
