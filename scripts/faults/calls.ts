import { errnoNumber } from '../../lib/program/errno.ts';
import { type Abi, syscallNumbers, words } from '../../lib/seccomp/syscalls.ts';

/**
 * The system calls that are made to fail, and the errnos that each can give. Those that are missing cannot fail with the
 * arguments they have, or end a program of any kind (V8's memory, libuv's event loop), which is no point of ours.
 */
const failures = `
  open: EMFILE ENOMEM EIO EACCES
  openat: EMFILE EIO EINTR EACCES ENOSPC ENOMEM
  openat2: EMFILE EAGAIN EACCES EINTR ENOMEM
  read: EIO EINTR ENOMEM
  pread64: EIO EINTR
  write: ENOSPC EIO EINTR EPERM
  pwrite64: ENOSPC EIO EINTR
  writev: ENOSPC EIO
  close: EIO EINTR
  fsync: EIO ENOSPC
  ftruncate: ENOSPC EPERM
  rename: ENOSPC EIO EACCES
  mkdir: ENOSPC EACCES EIO ENOMEM
  mkdirat: ENOSPC EACCES EIO
  mknodat: ENOSPC EPERM
  symlinkat: ENOSPC EACCES
  unlink: EIO EBUSY EACCES
  unlinkat: EIO EACCES
  rmdir: EBUSY EIO EACCES
  statx: EIO ENOMEM EACCES
  stat: EIO ENOMEM
  lstat: EIO ENOMEM
  fstat: EIO ENOMEM
  newfstatat: EIO ENOMEM
  access: EIO EACCES
  faccessat2: EIO EACCES
  readlink: EIO ENOMEM
  readlinkat: EIO ENOMEM
  getdents64: EIO ENOMEM
  fchmod: EPERM EIO
  fchmodat: EPERM EIO
  fchownat: EPERM EIO
  lchown: EPERM EIO
  flock: ENOLCK EINTR
  fcntl: EMFILE EPERM
  dup3: EMFILE EBUSY
  pipe2: EMFILE ENFILE
  ioctl: EIO ENOTTY
  clone: EAGAIN ENOMEM EPERM ENOSPC
  clone3: EAGAIN ENOMEM EPERM ENOSPC
  fork: EAGAIN ENOMEM
  vfork: EAGAIN ENOMEM
  execve: ENOMEM EACCES EAGAIN
  execveat: ENOMEM EACCES EIO
  socket: EMFILE ENOBUFS EPERM
  socketpair: EMFILE ENOMEM
  bind: ENOSPC EADDRINUSE EACCES
  listen: EADDRINUSE ENOMEM
  connect: ECONNREFUSED EAGAIN EACCES EINTR
  accept4: EMFILE ECONNABORTED ENOMEM
  sendmsg: ENOBUFS EPIPE EAGAIN ENOMEM
  recvmsg: ENOMEM ECONNRESET EINTR
  sendto: ENOBUFS EPIPE
  recvfrom: ENOMEM ECONNRESET
  setsockopt: ENOMEM EPERM
  memfd_create: EMFILE ENOMEM EPERM
  pidfd_open: EMFILE ENOMEM EPERM
  pidfd_send_signal: EPERM EINTR
  waitid: EINTR
  inotify_init1: EMFILE ENOMEM
  inotify_add_watch: ENOSPC ENOMEM
  bpf: EPERM ENOMEM EINVAL
  open_tree: EPERM ENOMEM EMFILE
  move_mount: EPERM ENOMEM EBUSY
  fsopen: EPERM EMFILE
  fsconfig: EPERM ENOMEM EBUSY
  fsmount: EPERM ENOMEM EBUSY
  mount_setattr: EPERM EINVAL
  mount: EPERM ENOMEM EBUSY
  umount2: EPERM EBUSY
  pivot_root: EPERM EBUSY
  chroot: EPERM
  chdir: EIO EACCES
  fchdir: EIO EACCES
  getcwd: ENOENT ENOMEM
  setns: EPERM ENOMEM
  unshare: EPERM ENOSPC
  sethostname: EPERM
  setdomainname: EPERM
  setuid: EPERM EAGAIN
  setgid: EPERM
  setresuid: EPERM EAGAIN
  setresgid: EPERM
  setgroups: EPERM ENOMEM
  capset: EPERM
  prctl: EPERM ENOMEM
  seccomp: EINVAL ENOMEM
  keyctl: EDQUOT ENOMEM
  setsid: EPERM
  close_range: EINVAL ENOMEM
  prlimit64: EPERM
  kill: EPERM ESRCH
`;

/**
 * Those before which a process is killed: what they change stays, or others wait for it. To be killed before any other call is
 * to be killed before the next one of these.
 */
const changers = `openat open write pwrite64 writev fsync ftruncate rename mkdir mkdirat mknodat symlinkat unlink unlinkat rmdir
  fchmod fchmodat fchownat lchown flock clone clone3 fork vfork execve execveat socketpair bind listen connect accept4
  sendmsg recvmsg sendto recvfrom memfd_create pidfd_send_signal kill bpf mount umount2 move_mount fsmount
  mount_setattr pivot_root setns unshare setsid exit_group`;

/** The calls that a kernel before 5.10, or a filter around us, does not know. */
export const newer = words(`openat2 clone3 close_range pidfd_open pidfd_send_signal open_tree move_mount fsopen fsconfig
  fsmount mount_setattr memfd_create execveat bpf keyctl statx name_to_handle_at faccessat2 epoll_pwait2`);

const abi: Abi = process.arch === 'arm64' ? 'arm64' : 'x64';

/** The number of a system call here; undefined where this machine has none of that name. */
export const numberOf = (name: string): number | undefined => syscallNumbers(abi).get(name);

export function nameOf(number: number): string {
  for (const [name, each] of syscallNumbers(abi)) if (each === number) return name;
  return `call ${number}`;
}

export interface Call {
  readonly number: number;
  readonly errnos: readonly number[];
}

function calls(): Call[] {
  const rows = failures.trim().split('\n');
  return rows.flatMap((row) => {
    const [name, errnos] = row.trim().split(': ') as [string, string];
    const number = numberOf(name);
    return number === undefined ? [] : [{ number, errnos: words(errnos).map(errnoNumber) }];
  });
}

export const failing: readonly Call[] = calls();
export const killing: readonly Call[] = words(changers).flatMap((name) => {
  const number = numberOf(name);
  return number === undefined ? [] : [{ number, errnos: [] }];
});

export const errnosOf = (number: number): readonly number[] =>
  failing.find((call) => call.number === number)?.errnos ?? [];
