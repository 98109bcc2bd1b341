import {
  attributes,
  bytes,
  capabilitySet,
  flag,
  flags,
  input,
  ins,
  int,
  type Kind,
  maybe,
  mode,
  namespaces,
  type OpRow,
  out,
  propagation,
  text,
  texts,
  u64,
  type ValueOf,
} from './kinds.ts';

export type { Kind, Operand, OpRow } from './kinds.ts';

/**
 * THE table: every op the init can run, with its operands. `npm run generate` makes native/program/ops.gen.h and
 * docs/plan.md from it. The order of the rows is the opcode on the wire: append only.
 *
 * An op is an intent, not a system call. Every path inside the container is resolved below a register (a descriptor
 * that the init holds), with openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): what the image contains cannot lead out.
 */

export const ops = {
  halt: {
    doc: 'Ends the program with exit code 0, without running anything. For helper programs.',
    operands: {},
    end: true,
  },

  // ---- namespaces ------------------------------------------------------------------------------------------------
  become_root: {
    doc: 'Takes uid 0 and gid 0 of the user namespace, now that its id maps are written, with no supplementary groups where setgroups(2) is allowed, and becomes undumpable so that nothing that shares a namespace with us can attach.',
    operands: {},
  },
  unshare: { doc: 'Enters new namespaces: unshare(2) with CLONE_NEW* flags.', operands: { flags: namespaces } },
  join: {
    doc: 'Enters existing namespaces given as descriptors, in two passes around the user namespace: one that owns the others must be entered first, one that we leave behind last (setns(2)).',
    operands: { namespaces: ins, user: maybe },
  },
  fork: {
    doc: 'Goes on in a child, which is a child of the host too (CLONE_PARENT): how a joined pid or time namespace is entered. The host learns pid and pidfd by a FORKED frame.',
    operands: {},
    barrier: true,
  },
  reap: {
    doc: 'Goes on in a child and stays behind as process 1: collects zombies, forwards signals, reports the exit of the child by an EXIT frame, and ends, with the whole pid namespace, when the host closes the channel.',
    operands: { capabilities: capabilitySet },
    barrier: true,
  },
  propagation: {
    doc: 'Sets the propagation of every mount of this mount namespace (MS_PRIVATE or MS_SLAVE, recursively), so that nothing mounted here reaches the host.',
    operands: { flags: propagation },
    host: true,
  },
  root_propagation: {
    doc: 'Sets the propagation of the mount at / after the pivot, recursively or not (linux.rootfsPropagation).',
    operands: { flags: propagation, recursive: flag },
  },

  // ---- mounts ----------------------------------------------------------------------------------------------------
  open: {
    doc: 'Opens a path of the host as an O_PATH descriptor, following links.',
    operands: { dst: out, path: text },
    host: true,
  },
  open_below: {
    doc: 'Opens a path below a register as an O_PATH descriptor; with directory, only if it is one.',
    operands: { dst: out, root: input, path: text, directory: flag },
  },
  fsmount: {
    doc: 'Makes a new, detached mount of a file system type: fsopen, fsconfig for each option (`key` or `key=value`), fsmount with MOUNT_ATTR_* attributes.',
    operands: { dst: out, fstype: text, options: texts, attributes },
  },
  clone_mount: {
    doc: 'Clones the mount at a path of the host into a detached mount: a bind, in the words of mount(8).',
    operands: { dst: out, path: text, recursive: flag },
    host: true,
  },
  clone_below: {
    doc: 'Clones the mount at a path below a register into a detached mount.',
    operands: { dst: out, root: input, path: text, recursive: flag },
  },
  mount_attributes: {
    doc: 'Changes a mount before anybody can see it: sets and clears MOUNT_ATTR_*, sets its propagation (0 leaves it); recursive covers the mounts below it.',
    operands: { src: input, set: attributes, clear: attributes, propagation, recursive: flag },
  },
  idmap: {
    doc: 'Maps the owners of the files of a detached mount through a user namespace (MOUNT_ATTR_IDMAP).',
    operands: { src: input, userns: input, recursive: flag },
  },
  attach: {
    doc: 'Puts a detached mount at a path below a register. The mount point is made when it is missing: a directory for a directory, an empty file for anything else. With ordinary, no component may be a link and the mount point must be a directory: proc and sysfs (CVE-2023-27561).',
    operands: { src: input, root: input, path: text, ordinary: flag },
  },
  attach_host: {
    doc: 'Puts a detached mount at a path of the host inside our own mount namespace: where the new root stands until the pivot.',
    operands: { src: input, path: text },
    host: true,
  },
  mask: {
    doc: 'Hides a path: a directory under an empty read-only tmpfs, anything else under the null device (a register, checked to be the character device 1:3).',
    operands: { root: input, path: text, null: input },
  },
  readonly: {
    doc: 'Makes a path and everything mounted below it read-only, by a clone of it over itself.',
    operands: { root: input, path: text },
  },
  pivot: {
    doc: 'Makes a mount the root of this mount namespace and lets go of the old root: pivot_root(".", "."), detach, chdir("/"); and checks that nothing is left above it.',
    operands: { root: input },
  },
  enter: { doc: 'Changes the working directory to a register: fchdir(2).', operands: { dir: input } },

  // ---- files -----------------------------------------------------------------------------------------------------
  directory: {
    doc: 'Makes a directory, and the missing ones above it with mode 0755; one that exists is left as it is.',
    operands: { root: input, path: text, mode },
  },
  symlink: {
    doc: 'Makes a symbolic link, and the missing directories above it; an entry that exists is left as it is.',
    operands: { root: input, path: text, target: text },
  },
  file: {
    doc: 'Makes a regular file with the given content, and the missing directories above it. EEXIST when there is one.',
    operands: { root: input, path: text, mode, content: bytes },
  },
  node: {
    doc: 'Makes a device node or a fifo, with owner; type is S_IFCHR, S_IFBLK or S_IFIFO. One that is there already is left as it is; EEXIST when there is anything else; EBUSY when that is an empty file, as a device may be mounted on.',
    operands: { root: input, path: text, mode: int(0o177777n), major: int(), minor: int(), uid: int(), gid: int() },
  },
  write: {
    doc: 'Writes to a file that exists, in one write(2), as procfs and cgroupfs want it.',
    operands: { root: input, path: text, content: bytes },
  },
  chown: {
    doc: 'Sets the owner of an entry, not following a link in its last component.',
    operands: { root: input, path: text, uid: int(), gid: int() },
  },
  chmod: {
    doc: 'Sets the permission bits of an entry that is not a link.',
    operands: { root: input, path: text, mode },
  },
  remove_tree: {
    doc: 'Removes an entry and everything below it, staying on its file system and following no link. A missing entry is fine.',
    operands: { root: input, path: text },
  },

  // ---- the process -----------------------------------------------------------------------------------------------
  hostname: { doc: 'Sets the host name of the UTS namespace.', operands: { name: text } },
  domainname: { doc: 'Sets the NIS domain name of the UTS namespace.', operands: { name: text } },
  link_up: { doc: 'Brings a network interface up.', operands: { name: text } },
  rlimit: {
    doc: 'Sets a resource limit: setrlimit(2).',
    operands: { resource: int(15n), soft: int(u64), hard: int(u64) },
  },
  umask: { doc: 'Sets the file mode creation mask.', operands: { mask: int(0o777n) } },
  chdir: {
    doc: 'Changes the working directory inside the container and checks that it lies below its root (CVE-2024-21626).',
    operands: { path: text },
  },
  bounding: { doc: 'Reduces the capability bounding set to these.', operands: { capabilities: capabilitySet } },
  ids: {
    doc: 'Sets supplementary groups (a list of u32, or none with keep_groups, where the user namespace denies setgroups), gid and uid, keeping the permitted capabilities until `capabilities` decides on them.',
    operands: { uid: int(), gid: int(), groups: bytes, keep_groups: flag },
  },
  capabilities: {
    doc: 'Sets the four capability sets of the process. Inheritable and ambient are empty unless the configuration says otherwise.',
    operands: {
      effective: capabilitySet,
      permitted: capabilitySet,
      inheritable: capabilitySet,
      ambient: capabilitySet,
    },
  },
  no_new_privs: { doc: 'Execve can no longer grant privileges: PR_SET_NO_NEW_PRIVS.', operands: {} },
  undumpable: {
    doc: 'Nobody without CAP_SYS_PTRACE may attach to us or open our /proc entries: before namespaces are joined.',
    operands: {},
  },
  death_signal: {
    doc: 'This signal arrives when the host process dies. For a container without a reaper.',
    operands: { signal: int(64n) },
  },
  new_session: { doc: 'Starts a new session: setsid(2).', operands: {} },
  new_keyring: {
    doc: "Joins a new session keyring, so that the host's keys are out of reach.",
    operands: { name: text },
  },
  pty: {
    doc: 'Opens a new pseudo-terminal of a devpts mount (a register): the master, which must be the ptmx of a devpts (ENOTTY), and the slave by TIOCGPTPEER, so that no path is trusted.',
    operands: { master: out, slave: out, devpts: input },
  },
  window: {
    doc: 'Sets the size of a terminal.',
    operands: { src: input, columns: int(65535n), rows: int(65535n) },
  },
  controlling_terminal: { doc: 'Makes a terminal the controlling one of the session.', operands: { src: input } },
  own: {
    doc: "Gives a descriptor's file to the process's user. Only for pipes and terminals of our own making.",
    operands: { src: input, uid: int(), gid: int() },
  },
  stdio: {
    doc: 'Puts registers at descriptors 0, 1 and 2. A directory is refused (EISDIR): the command could walk out through it.',
    operands: { stdin: input, stdout: input, stderr: input },
  },
  close_from: {
    doc: 'Closes every descriptor from this number on, but those of the init that close at the exec: one that is only marked close-on-exec could still be walked through by the path that is executed (/proc/self/fd, CVE-2024-21626).',
    operands: { fd: int(0x7fffffffn) },
  },
  find: {
    doc: 'Finds the first of several paths that can be executed, with no magic link on the way (CVE-2024-21626). ENOENT: none exists; EACCES: it is not executable.',
    operands: { files: texts },
  },
  seccomp: { doc: 'Installs a classic BPF filter.', operands: { filter: bytes, flags: flags(0x37n) } },
  exec: {
    doc: 'Executes the first of several paths that exists. Success is seen by the host as the end of the channel.',
    operands: { files: texts, argv: texts, env: texts },
    end: true,
  },

  // ---- with the host ---------------------------------------------------------------------------------------------
  send_handle: {
    doc: 'Sends a register to the host in a HANDLE frame.',
    operands: { src: input, tag: int() },
    barrier: true,
  },
  sync: {
    doc: 'Tells the host that this point is reached and waits for its GO; if the channel ends instead, so do we.',
    operands: { tag: int() },
    barrier: true,
  },
  until_hangup: {
    doc: "Waits for the host's GO or for the end of the channel, whichever comes first, and goes on: how a keeper cleans up after a host that was killed.",
    operands: {},
    barrier: true,
  },
  kill_cgroup: {
    doc: 'Kills every process of a cgroup (cgroup.kill) and removes it, and the cgroups below it, once it is empty.',
    operands: { parent: input, name: text },
  },
  detach: {
    doc: 'Takes an attached mount, which must be the topmost at its place, off the tree again (MNT_DETACH); what uses it, an overlay say, keeps it.',
    operands: { src: input },
  },

  // ---- an OCI runtime --------------------------------------------------------------------------------------------
  receive: {
    doc: 'As sync, but the GO of the host brings a handle with it, which goes into a register: what could not be known before.',
    operands: { dst: out, tag: int() },
    barrier: true,
  },
  await_start: {
    doc: 'Waits at a listening socket (SOCK_SEQPACKET) for whoever starts the container. The first connection becomes the channel: SYNC with this tag goes out, and GO comes back with a handle (the state, for hooks) for the register. A connection that ends before its GO is forgotten, and the next one is waited for.',
    operands: { listener: input, dst: out, tag: int() },
    barrier: true,
  },
  hook: {
    doc: 'Runs a program to its end, in a session of its own, with a register as its standard input from its beginning, exactly this environment, umask 022, no other descriptor, and its output kept for the error. After timeout milliseconds (0: never) it is killed with its process group: ETIMEDOUT. Another exit status than 0: ECANCELED. The detail says which, and ends with the last of its output. What a hook that succeeds leaves running, stays.',
    operands: { path: text, argv: texts, env: texts, stdin: input, timeout: int() },
    barrier: true,
  },
  scheduler: {
    doc: "Sets the scheduling policy: sched_setattr(2). nice is an int32 in two's complement; times are in nanoseconds.",
    operands: {
      policy: int(7n),
      flags: flags(0x7fn),
      nice: int(),
      priority: int(99n),
      runtime: int(u64),
      deadline: int(u64),
      period: int(u64),
    },
  },
  io_priority: {
    doc: 'Sets the I/O scheduling class (1 realtime, 2 best effort, 3 idle) and the priority in it: ioprio_set(2).',
    operands: { class: int(3n), priority: int(7n) },
  },
  affinity: {
    doc: 'Binds us to processors, a bit mask of them, lowest byte first: sched_setaffinity(2).',
    operands: { cpus: bytes },
  },
  personality: { doc: 'Sets the execution domain: personality(2).', operands: { persona: int() } },
  memory_policy: {
    doc: 'Sets the NUMA memory policy: set_mempolicy(2), with a bit mask of nodes, lowest byte first.',
    operands: { mode: int(), nodes: bytes },
  },
  copy_tree: {
    doc: 'Copies what is below one directory into another, with owners, modes, times, extended attributes, links and device nodes, following no link and entering no mount (tmpcopyup). What is there already stays; an owner that is not mapped and a device that may not be made are left out.',
    operands: { src: input, dst: input },
  },
  reconfigure: {
    doc: 'Changes the options of the file system of a mount (a register of its root): fspick, fsconfig for each option, reconfigure.',
    operands: { src: input, options: texts },
  },
  net_device: {
    doc: 'Moves a network device of our network namespace into another one (a register), under a new name, with its permanent global addresses, and brings it up there. EEXIST, before anything has moved, when that name is taken.',
    operands: { name: text, netns: input, rename: text },
    host: true,
  },
  listener: {
    doc: 'Installs a classic BPF filter whose notifications come by a descriptor (SECCOMP_FILTER_FLAG_NEW_LISTENER), which goes into a register.',
    operands: { dst: out, filter: bytes, flags: flags(0x3fn) },
  },
  descriptors: {
    doc: 'Puts registers at descriptors 3, 4, … for the command: what the init itself has there moves out of the way.',
    operands: { descriptors: ins },
  },
  move_root: {
    doc: 'Makes a mount the root where pivot_root(2) cannot, on an initial ramfs: moves the mount over / (MS_MOVE), takes all others away, hides a procfs or sysfs that is locked to its place, and changes root into it. The old root itself stays under it.',
    operands: { root: input },
  },
  inherit: {
    doc: 'Gives the root of a mount (a register) the permission bits of the directory at a path, which it is going to cover; with owner its owner too, where that can be given. ENOENT when there is none.',
    operands: { src: input, root: input, path: text, owner: flag },
  },
  expect_namespace: {
    doc: 'Sees to it that a register is a namespace of this type, a CLONE_NEW* flag, before it is entered (NS_GET_NSTYPE). EINVAL: it is one of another type; ENOTTY: it is none.',
    operands: { src: input, type: namespaces },
  },
  close: {
    doc: 'Closes a register that nothing needs any more: what shows the host is not to be open in a process that the container can see.',
    operands: { src: input },
  },
  keep_only: {
    doc: 'Closes every register but these: an init that waits, maybe for hours, where processes of the container can see it, is to hold nothing of the host.',
    operands: { registers: ins },
  },
  plain_output: {
    doc: 'Has a terminal pass on what is written to it as it is, without a carriage return before each end of line (ONLCR): for output that goes to a file.',
    operands: { src: input },
  },
  chdir_again: {
    doc: "As chdir, now with the rights of the command's user. That they do not suffice (EACCES) is fine where those of an earlier chdir did.",
    operands: { path: text },
  },
  unpack: {
    doc: 'Makes files, directories, links and nodes below a directory, as a stream of records says (lib/layers/records.ts): the layers of images. Their names are resolved inside the directory, through its own links only. ENODATA: the stream ended before its last record.',
    operands: { src: input, root: input },
  },
  read_tree: {
    doc: 'Tells what is in directories below a directory, and what their regular files contain, as questions on a stream ask (lib/layers/tree-reader.ts): what a container has changed. No link is followed. ENODATA: the stream ended without a last question.',
    operands: { src: input, root: input },
  },
  fuse_mount: {
    doc: 'Opens /dev/fuse and makes a detached mount that is served over it, for everybody in our user namespace: the descriptor has to be opened in the user namespace of the mount.',
    operands: { device: out, mount: out },
    host: true,
  },
  serve_view: {
    doc: "Serves the files of a system view (docs/system-view.md) over a descriptor of /dev/fuse: what the host's /proc says, as limits and use of a cgroup have it. It ends when the last mount is gone; with owned also at the end of the channel.",
    operands: { device: input, proc: input, process: input, cgroup: maybe, owned: flag },
  },
  outlive: {
    doc: 'Has the process 1 that op `reap` is about to make outlive the host, once the command is executed: it reads what the command writes from two pipes, appends it to one segment after the other in the log format of the CRI, empties the next one when bytes_max is reached, and writes how the command ended to `exit`. In a session of its own. EINVAL: we are not process 1; and `reap` fails with EPERM where the command is left with CAP_SYS_PTRACE.',
    operands: { stdout: input, stderr: input, exit: input, segments: ins, bytes_max: int(1n << 40n) },
    barrier: true,
  },
  join_process: {
    doc: 'Enters namespaces of a process, given as a pidfd, all at once: setns(2) with CLONE_NEW* flags. Its user namespace must be the one that owns the others, where it is among them.',
    operands: { src: input, namespaces },
  },
  clone_inits: {
    doc: "Clones inits for the host until the channel ends: a zygote. Each message asks for one, with CLONE_NEW* flags (CLONE_NEWUSER among them) and the init's end of a channel, maybe also the directory of a cgroup to be born in. It is a child of the host (CLONE_PARENT) in a user namespace of its own, below ours, whose id maps we write; a FORKED frame brings its pid and pidfd, and in `error` why the maps could not be written. An ERROR frame says that there is none.",
    operands: { proc: input, uids: text, gids: text },
    barrier: true,
  },
  keep: {
    doc: 'Keeps programs for the host until the channel ends: a keeper. A message brings one under a number, of at most 512 bytes and with one handle at most, which a SYNC frame of that number confirms; it is verified and not run. Another has it run, in a child of its own, which ends with a DONE or an ERROR frame of the number; a third has it forgotten. At the end of the channel all that are left are run, each in a child.',
    operands: {},
    barrier: true,
  },
  fork_inits: {
    doc: 'Clones inits for the host as copies of itself, which begin without an exec, in all namespaces of ours: a zygote, too. Each message asks for one, without CLONE_NEW* flags, as those to `clone_inits` do. The copy is a child of the host; the first word on its own channel is a FORKED frame with its pid and pidfd, or an ERROR frame: there is none, or where a pidfd comes with it one that ends, since we were killed before we could tell of it. It goes on until the channel ends, or until there has been no message for so many milliseconds. EPERM: one is from somebody with another user or group id than ours.',
    operands: { idle_ms: int(3_600_000n) },
    barrier: true,
  },
  next_program: {
    doc: 'Tells the host that this point is reached, and ends the program: the one that the host sends next takes its place, with registers of its own. What it holds in registers it has to close before. If the channel ends instead, so do we.',
    operands: { tag: int() },
    end: true,
  },
} as const satisfies Record<string, OpRow>;

export type OpName = keyof typeof ops;
export const opNames = Object.keys(ops) as readonly OpName[];

export { type Step, steps } from './steps.ts';

/** The operands of one op as an object: registers by name. */
export type Operands<N extends OpName> = {
  readonly [F in keyof (typeof ops)[N]['operands']]: (typeof ops)[N]['operands'][F] extends { readonly kind: infer K }
    ? K extends Kind
      ? ValueOf<K>
      : never
    : never;
};

export interface OpOf<N extends OpName> {
  readonly op: N;
  readonly operands: Operands<N>;
  /** These errnos are no error here: the op is skipped. */
  readonly unless?: readonly string[];
  /** On success, this many of the following ops are skipped: they are the alternatives. */
  readonly skip?: number;
  /** The JSON pointer of the configuration this op came from, or the name of a default. */
  readonly origin: string;
}
export type Op = { [N in OpName]: OpOf<N> }[OpName];
