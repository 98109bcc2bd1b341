import type { NativeArch } from './arch.ts';
import type { Action, Architecture, Condition, Rule, SeccompProfile } from './profile.ts';
import { words } from './syscalls.ts';

/** What decides which rows of the default profile hold. */
export interface DefaultProfileOptions {
  /** The container's bounding set: `CAP_SYS_ADMIN`, … */
  readonly capabilities: readonly string[];
  readonly arch: NativeArch;
  /** The kernel's version, `[6, 1]`; without it, one that is new enough for every row. */
  readonly kernel?: readonly [major: number, minor: number] | undefined;
}

/** A rule that holds on some machines and for some containers. */
interface Row {
  readonly names: string;
  readonly action?: Action;
  readonly errnoRet?: number;
  readonly args?: readonly Condition[];
  /** The row holds only with this capability. */
  readonly capability?: string;
  /** The row holds only without it. */
  readonly without?: string;
  readonly arch?: NativeArch;
  readonly kernel?: readonly [major: number, minor: number];
}

const ENOSYS = 38;

const architectures: Record<NativeArch, readonly Architecture[]> = {
  x64: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
  arm64: ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM'],
};

/**
 * Not among them: socketcall. i386's way to make sockets hides the family behind a pointer, and would bring back those
 * that are left out below (CVE-2026-31431, by AF_ALG). Its other functions are allowed with the calls they stand for.
 */
const always = `
  accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime
  clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64
  close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old
  epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat
  faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat
  fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs
  fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat
  getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer
  getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit
  get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr
  getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents
  io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule
  landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr
  listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier
  memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr
  mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl
  msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat
  openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl
  pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead
  readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat
  rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask
  rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity
  sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
  sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp
  select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid
  setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32
  setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt
  set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack
  signalfd signalfd4 sigprocmask sigreturn socketpair splice stat stat64 statfs statfs64 statmount statx
  symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun
  timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
  timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe
  utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
`;

/**
 * The address families from 12 on that are allowed, as those below are. Not among them are those that have been a way
 * into the kernel or out of the machine: AF_ALG (38), AF_VSOCK (40), and forgotten ones such as DECnet and CAIF.
 */
const families = [13, 14, 15, 16, 17, 18, 21, 22, 24, 26, 27, 28, 29, 30, 31, 32, 33, 35, 36, 39, 41, 42, 43, 44, 45];

/** Linux, 16-bit uids, and each without address space randomisation; the last asks what is set. */
const personalities = [0x0, 0x8, 0x20000, 0x20008, 0xffffffff];

/** CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET. */
const namespaceFlags = 0x7e020000;

const argument = (op: Condition['op'], value: number): readonly Condition[] => [{ index: 0, value, op }];

const rows: readonly Row[] = [
  { names: always },
  // Before 4.8 a tracer could change a system call after the filter had seen it.
  { names: 'process_vm_readv process_vm_writev ptrace', kernel: [4, 8] },
  { names: 'socket', args: argument('SCMP_CMP_LT', 12) },
  ...families.map((family) => ({ names: 'socket', args: argument('SCMP_CMP_EQ', family) })),
  ...personalities.map((value) => ({ names: 'personality', args: argument('SCMP_CMP_EQ', value) })),
  { names: 'arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls', arch: 'arm64' },
  { names: 'arch_prctl modify_ldt', arch: 'x64' },
  { names: 'open_by_handle_at', capability: 'CAP_DAC_READ_SEARCH' },
  {
    names: `
      bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
      lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
      sethostname setns syslog umount umount2 unshare
    `,
    capability: 'CAP_SYS_ADMIN',
  },
  { names: 'clone', args: argument('SCMP_CMP_MASKED_EQ', namespaceFlags), without: 'CAP_SYS_ADMIN' },
  // Its flags are behind a pointer, where no filter sees them: "no such call" makes libraries fall back to clone.
  { names: 'clone3', action: 'SCMP_ACT_ERRNO', errnoRet: ENOSYS, without: 'CAP_SYS_ADMIN' },
  { names: 'reboot', capability: 'CAP_SYS_BOOT' },
  { names: 'chroot', capability: 'CAP_SYS_CHROOT' },
  { names: 'delete_module init_module finit_module', capability: 'CAP_SYS_MODULE' },
  { names: 'acct', capability: 'CAP_SYS_PACCT' },
  {
    names: 'kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace',
    capability: 'CAP_SYS_PTRACE',
  },
  { names: 'iopl ioperm', capability: 'CAP_SYS_RAWIO' },
  { names: 'settimeofday stime clock_settime clock_settime64', capability: 'CAP_SYS_TIME' },
  { names: 'vhangup', capability: 'CAP_SYS_TTY_CONFIG' },
  { names: 'get_mempolicy mbind set_mempolicy set_mempolicy_home_node', capability: 'CAP_SYS_NICE' },
  { names: 'syslog', capability: 'CAP_SYSLOG' },
  { names: 'bpf', capability: 'CAP_BPF' },
  { names: 'perf_event_open', capability: 'CAP_PERFMON' },
];

/**
 * Docker's default profile (of spring 2026: no keyrings, no AF_ALG) for a container with these capabilities: what is
 * not listed fails with EPERM. One that may not use CAP_SYS_ADMIN can make no namespaces.
 */
export function defaultProfile(options: DefaultProfileOptions): SeccompProfile {
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: architectures[options.arch],
    syscalls: rows.filter((row) => applies(row, options)).map(ruleOf),
  };
}

function applies({ capability, without, arch, kernel }: Row, options: DefaultProfileOptions): boolean {
  if (capability !== undefined && !options.capabilities.includes(capability)) return false;
  if (without !== undefined && options.capabilities.includes(without)) return false;
  if (arch !== undefined && arch !== options.arch) return false;
  return kernel === undefined || options.kernel === undefined || !isBefore(options.kernel, kernel);
}

function isBefore(
  [major, minor]: readonly [number, number],
  [otherMajor, otherMinor]: readonly [number, number],
): boolean {
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}

function ruleOf({ names, action = 'SCMP_ACT_ALLOW', errnoRet, args }: Row): Rule {
  return { names: words(names), action, errnoRet, args };
}
