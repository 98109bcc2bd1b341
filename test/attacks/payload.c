/* What a hostile command tries. Each attempt that succeeds prints a line that begins with "WON"; a test expects none.
   Nothing here changes anything: what could be opened for writing is closed again. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/sched.h>
#include <mqueue.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static void won(const char *what, const char *detail) {
  printf("WON %s %s\n", what, detail);
  fflush(stdout);
}

/* ---- system calls ------------------------------------------------------------------------------------------------ */

struct call {
  const char *name;
  int x64, x86; /* -1: there is none */
  unsigned long a, b, c, d, e;
};

static const char none[] = "";

/* The arguments are such that the call, were it let through, would succeed or fail with another errno than EPERM. */
static const struct call calls[] = {
    {"unshare user", 272, 310, CLONE_NEWUSER, 0, 0, 0, 0},
    {"unshare mount", 272, 310, CLONE_NEWNS, 0, 0, 0, 0},
    {"setns", 308, 346, -1ul, 0, 0, 0, 0},
    {"mount", 165, 21, (unsigned long)none, (unsigned long)none, (unsigned long)none, 0, 0},
    {"umount2", 166, 52, (unsigned long)none, 0, 0, 0, 0},
    {"pivot_root", 155, 217, (unsigned long)none, (unsigned long)none, 0, 0, 0},
    {"open_tree", 428, 428, -100ul, (unsigned long)none, 1, 0, 0},
    {"move_mount", 429, 429, -1ul, (unsigned long)none, -1ul, (unsigned long)none, 0},
    {"fsopen", 430, 430, (unsigned long)none, 0, 0, 0, 0},
    {"fsconfig", 431, 431, -1ul, 0, 0, 0, 0},
    {"fsmount", 432, 432, -1ul, 0, 0, 0, 0},
    {"fspick", 433, 433, -100ul, (unsigned long)none, 0, 0, 0},
    {"mount_setattr", 442, 442, -100ul, (unsigned long)none, 0, 0, 0},
    {"keyctl", 250, 288, 0, -3ul, 0, 0, 0},
    {"add_key", 248, 286, (unsigned long)none, (unsigned long)none, 0, 0, 0},
    {"request_key", 249, 287, (unsigned long)none, (unsigned long)none, 0, 0, 0},
    {"bpf", 321, 357, -1ul, 0, 0, 0, 0},
    {"userfaultfd", 323, 374, 1, 0, 0, 0, 0},
    {"perf_event_open", 298, 336, 0, 0, 0, 0, 0},
    {"open_by_handle_at", 304, 342, -1ul, 0, 0, 0, 0},
    {"io_uring_setup", 425, 425, 0, 0, 0, 0, 0},
    {"fanotify_init", 300, 338, -1ul, 0, 0, 0, 0},
    {"kexec_load", 246, 283, 0, 0, 0, -1ul, 0},
    {"init_module", 175, 128, 0, 0, 0, 0, 0},
    {"finit_module", 313, 350, -1ul, 0, 0, 0, 0},
    {"delete_module", 176, 129, 0, 0, 0, 0, 0},
    {"reboot", 169, 88, 0, 0, 0, 0, 0},
    {"swapon", 167, 87, 0, 0, 0, 0, 0},
    {"acct", 163, 51, (unsigned long)none, 0, 0, 0, 0},
    {"syslog", 103, 103, 3, 0, 0, 0, 0},
    {"iopl", 172, 110, 99, 0, 0, 0, 0},
    {"ioperm", 173, 101, -1ul, 2, 0, 0, 0},
    {"settimeofday", 164, 79, 1, 1, 0, 0, 0},
    {"quotactl", 179, 131, -1ul, 0, 0, 0, 0},
    {"personality READ_IMPLIES_EXEC", 135, 136, 0x400000, 0, 0, 0, 0},
    {"socket AF_ALG", 41, 359, 38, 5, 0, 0, 0},
    {"socket AF_VSOCK", 41, 359, 40, 1, 0, 0, 0},
    {"socket AF_ALG, high bits", 41, -1, 0x100000026, 5, 0, 0, 0},
    {"chroot into nothing", 161, 61, 0, 0, 0, 0, 0},
};

#if defined(__x86_64__)
static long call_x86(const struct call *c, unsigned long b) {
  long result;
  asm volatile("push %%rbx; mov %[a], %%ebx; int $0x80; pop %%rbx"
               : "=a"(result)
               : "a"((long)c->x86), [a] "r"((unsigned)c->a), "c"(b), "d"(c->c), "S"(c->d), "D"(c->e)
               : "memory", "r8", "r9", "r10", "r11");
  return (int)result;
}
#endif

/* In a child: a call that is let through may do anything to its caller. */
static void attempt(const char *how, const struct call *c, long (*call)(const struct call *)) {
  pid_t child = fork();
  if (child == 0) {
    long r = call(c);
    _exit(r >= 0 ? 1 : (r == -EPERM || r == -ENOSYS) ? 0 : 2);
  }
  int status = 0;
  waitpid(child, &status, 0);
  /* chroot is what CAP_SYS_CHROOT is for: it tells that this table can win. */
  if (strcmp(c->name, "chroot into nothing") == 0) {
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2) printf("control %s\n", how);
    return;
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) != 0) won(how, c->name);
}

static long by_syscall(const struct call *c) {
  return syscall(c->x64, c->a, c->b, c->c, c->d, c->e) < 0 ? -errno : 0;
}
/* On a kernel without x32 (CONFIG_X86_X32_ABI), as most are, there is nothing behind this door: ENOSYS whatever the filter has.
 * What the filter itself says there is in test/seccomp/differential.test.ts. */
static long by_x32(const struct call *c) {
  return syscall(c->x64 | 0x40000000, c->a, c->b, c->c, c->d, c->e) < 0 ? -errno : 0;
}
#if defined(__x86_64__)
static long by_int80(const struct call *c) { return c->x86 < 0 ? -ENOSYS : call_x86(c, c->b); }
#endif

static long by_clone(const struct call *c) {
  long r = syscall(SYS_clone, c->a | SIGCHLD, 0, 0, 0, 0);
  if (r == 0) _exit(0);
  return r < 0 ? -errno : 0;
}
static long by_clone3(const struct call *c) {
  struct clone_args args = {.flags = c->a, .exit_signal = SIGCHLD};
  long r = syscall(SYS_clone3, &args, sizeof args);
  if (r == 0) _exit(0);
  return r < 0 ? -errno : 0;
}

static int syscalls(void) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    attempt("syscall", &calls[i], by_syscall);
#if defined(__x86_64__)
    attempt("x32", &calls[i], by_x32);
    attempt("int80", &calls[i], by_int80);
#endif
  }
  struct call clone_user = {"CLONE_NEWUSER", 0, 0, CLONE_NEWUSER, 0, 0, 0, 0};
  attempt("clone", &clone_user, by_clone);
  attempt("clone3", &clone_user, by_clone3);
#if defined(__x86_64__)
  /* socketcall(2) hides the arguments of socket(2) behind a pointer, which must be below 4 GiB. */
  static unsigned arguments[3] = {38, 5, 0};
  struct call hidden = {"socketcall(AF_ALG)", 0, 102, 1, (unsigned long)arguments, 0, 0, 0};
  attempt("int80", &hidden, by_int80);
#endif
  return 0;
}

/* ---- process 1 --------------------------------------------------------------------------------------------------- */

static void try_open(const char *path, int flags) {
  int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return;
  char byte;
  int is_writable = (flags & O_ACCMODE) == O_WRONLY;
  /* Root may open any file of procfs for writing. That nobody can write to it is said by EIO, when nothing is written;
     the files of sysctl and sysfs say it at once, and some of those act on nothing, too. */
  if (is_writable && strncmp(path, "/proc/sys/", 10) != 0 && strncmp(path, "/sys/", 5) != 0) {
    is_writable = write(fd, "", 0) == 0 || errno != EIO;
  }
  if (is_writable || flags & O_DIRECTORY || ((flags & O_ACCMODE) == O_RDONLY && read(fd, &byte, 1) >= 0)) {
    won("open", path);
  }
  close(fd);
}

static int process1(void) {
  static const char *files[] = {"/proc/1/mem", "/proc/1/environ", "/proc/1/maps", "/proc/1/auxv", "/proc/1/syscall",
                                "/proc/1/exe", "/proc/1/fd/0", "/proc/1/fd/3"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) try_open(files[i], O_RDONLY);
  try_open("/proc/1/mem", O_WRONLY);
  try_open("/proc/1/root", O_RDONLY | O_DIRECTORY);
  try_open("/proc/1/cwd", O_RDONLY | O_DIRECTORY);
  char link[64], path[64];
  for (int fd = 0; fd < 1024; fd++) {
    snprintf(path, sizeof path, "/proc/1/fd/%d", fd);
    if (readlink(path, link, sizeof link) > 0) won("readlink", path);
  }
  if (ptrace(PTRACE_ATTACH, 1, 0, 0) == 0) won("ptrace", "attach");
  if (ptrace(PTRACE_SEIZE, 1, 0, 0) == 0) won("ptrace", "seize");
  char byte;
  struct iovec mine = {&byte, 1}, theirs = {(void *)0x400000, 1};
  if (process_vm_readv(1, &mine, 1, &theirs, 1, 0) >= 0) won("process_vm_readv", "");
  int process = (int)syscall(434, 1, 0);
  for (int fd = 0; fd < 64; fd++) {
    if (syscall(438, process, fd, 0) >= 0) won("pidfd_getfd", "");
  }
  /* Whatever reaches process 1 must not end it: the exit code of this command would be lost. */
  uint64_t all = ~0ull; /* by the raw call: the libc leaves two of its own out */
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof all);
  for (int signal = 1; signal <= 64; signal++) kill(1, signal);
  usleep(50000);
  return 42;
}

/* With CAP_SYS_PTRACE process 1 is ours. What does it give? */
static int traced(void) {
  int program = open("/proc/1/exe", O_RDONLY | O_CLOEXEC);
  if (program < 0) return 3;
  printf("control exe\n");
  int seals = fcntl(program, 1034 /* F_GET_SEALS */);
  if (seals < 0 || !(seals & 8)) won("unsealed", "/proc/1/exe");
  int writable = open("/proc/1/exe", O_RDWR | O_CLOEXEC);
  if (writable >= 0 && write(writable, "\x7f", 1) == 1) won("write", "/proc/1/exe");
  struct stat mine, theirs;
  if (stat("/", &mine) == 0 && stat("/proc/1/root/.", &theirs) == 0 &&
      (mine.st_ino != theirs.st_ino || mine.st_dev != theirs.st_dev))
    won("another root", "/proc/1/root");
  char path[64], target[256];
  int process = (int)syscall(434, 1, 0);
  for (int fd = 0; fd < 1024; fd++) {
    snprintf(path, sizeof path, "/proc/1/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n <= 0) continue;
    target[n] = 0;
    if (target[0] == '/') won("path", target);
    if (strncmp(target, "socket:", 7) != 0) continue;
    int channel = (int)syscall(438, process, fd, 0);
    if (channel < 0) continue;
    printf("control channel\n");
    fflush(stdout);
    usleep(100000); /* until the host has heard that we run: a lie before that fails the start */
    /* An exit that did not happen, and what no init would ever say. */
    struct frame {
      uint32_t kind, segment, op;
      uint16_t code, step;
      int32_t error;
      uint32_t tag;
      uint64_t value;
      uint32_t detail_length, reserved;
      char detail[280];
    } frame = {0};
    int garbage[] = {3, 8, 2, 99, 0};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
      frame.kind = (uint32_t)garbage[i];
      frame.detail_length = 0xffffffff;
      send(channel, &frame, sizeof frame, MSG_DONTWAIT);
    }
    char big[70000] = {0};
    for (int i = 0; i < 100; i++) send(channel, big, sizeof big, MSG_DONTWAIT);
  }
  return 7;
}

/* ---- descriptors ------------------------------------------------------------------------------------------------- */

static int descriptors(void) {
  char path[64], target[256];
  for (int fd = 3; fd < 1 << 16; fd++) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, target, sizeof target - 1);
    target[n > 0 ? n : 0] = 0;
    won("descriptor", target);
  }
  if (prctl(PR_GET_PDEATHSIG, &(int){0}) < 0) return 1;
  char cwd[4096];
  if (syscall(SYS_getcwd, cwd, sizeof cwd) < 0 || cwd[0] != '/') won("cwd", cwd);
  return 0;
}

/* ---- the caller's terminal --------------------------------------------------------------------------------------- */

static int terminal(void) {
  for (int fd = 0; fd < 3; fd++) {
    if (!isatty(fd)) continue;
    printf("control tty %d\n", fd);
    if (ioctl(fd, TIOCSTI, "!") == 0) won("TIOCSTI", "");
    if (syscall(SYS_ioctl, (long)fd, 0x100000000l | TIOCSTI, "!") == 0) won("TIOCSTI", "with high bits");
    if (ioctl(fd, TIOCSCTTY, 0) == 0) won("TIOCSCTTY", "");
    if (ioctl(fd, TIOCSCTTY, 1) == 0) won("TIOCSCTTY", "stolen");
    if (ioctl(fd, TIOCSTI, "!") == 0) won("TIOCSTI", "afterwards");
  }
  int tty = open("/dev/tty", O_RDWR);
  if (tty >= 0) won("open", "/dev/tty");
  return 0;
}

/* Runs argv with a new pseudo-terminal as its controlling one, and prints what it says. */
static int with_terminal(char **argv) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0) return 1;
  char *name = ptsname(master);
  int keep = open(name, O_RDWR | O_NOCTTY); /* or its end would be a hangup */
  pid_t child = fork();
  if (child == 0) {
    setsid();
    int slave = open(name, O_RDWR);
    ioctl(slave, TIOCSCTTY, 0);
    for (int fd = 0; fd < 3; fd++) dup2(slave, fd);
    close(slave);
    close(master);
    close(keep);
    execvp(argv[0], argv);
    _exit(127);
  }
  int status, flags = fcntl(master, F_GETFL);
  fcntl(master, F_SETFL, flags | O_NONBLOCK);
  for (int done = 0; !done;) {
    done = waitpid(child, &status, WNOHANG) == child;
    char buffer[4096];
    for (ssize_t n; (n = read(master, buffer, sizeof buffer)) > 0;) fwrite(buffer, 1, (size_t)n, stdout);
    usleep(10000);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- files of the kernel ----------------------------------------------------------------------------------------- */

static int look_at(const char *path, const struct stat *st, int type, struct FTW *at) {
  (void)at;
  if (type != FTW_F || !S_ISREG(st->st_mode)) return 0;
  /* What is about processes of the container is theirs. */
  if (strncmp(path, "/proc/", 6) == 0 && (path[6] >= '0' && path[6] <= '9')) return FTW_CONTINUE;
  if (strncmp(path, "/proc/self/", 11) == 0 || strncmp(path, "/proc/thread-self/", 18) == 0) return 0;
  try_open(path, O_WRONLY);
  return 0;
}

static int writable(char **roots) {
  for (; *roots; roots++) nftw(*roots, look_at, 32, FTW_PHYS);
  return 0;
}

/* How many bytes can be read of each. */
static int print(char **paths) {
  for (; *paths; paths++) {
    char buffer[4096];
    int fd = open(*paths, O_RDONLY | O_NONBLOCK);
    printf("%s: %zd\n", *paths, fd < 0 ? -1 : read(fd, buffer, sizeof buffer));
    if (fd >= 0) close(fd);
  }
  return 0;
}

/* ---- devices ----------------------------------------------------------------------------------------------------- */

static int devices(char **directories) {
  static const struct { const char *name; mode_t type; int major, minor; } nodes[] = {
      {"mem", S_IFCHR, 1, 1}, {"kmsg", S_IFCHR, 1, 11}, {"sda", S_IFBLK, 8, 0}, {"vda", S_IFBLK, 254, 0},
      {"loop", S_IFBLK, 7, 0}, {"null", S_IFCHR, 1, 3}, {"fuse", S_IFCHR, 10, 229},
  };
  for (; *directories; directories++) {
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
      char path[256];
      snprintf(path, sizeof path, "%s/attack-%s", *directories, nodes[i].name);
      if (mknod(path, nodes[i].type | 0666, makedev(nodes[i].major, nodes[i].minor)) < 0) continue;
      printf("control mknod %s\n", path);
      int fd = open(path, O_RDONLY | O_NONBLOCK);
      /* ENXIO is a driver's answer: the node led to it. */
      if (fd >= 0 || errno == ENXIO) won("device", path);
      if (fd >= 0) close(fd);
      unlink(path);
    }
  }
  return 0;
}

/* ---- out of the root --------------------------------------------------------------------------------------------- */

static void seek(const char *how, const char *canary) {
  if (access(canary, F_OK) == 0) won(how, canary);
  if (canary[0] == '/' && access(canary + 1, F_OK) == 0) won(how, canary + 1);
}

static int outside(char **canaries) {
  for (char **c = canaries; *c; c++) seek("path", *c);
  /* The way out of a chroot(2): a working directory above the root. */
  int here = open("/", O_RDONLY | O_DIRECTORY);
  mkdir("/tmp/attack-root", 0755);
  if (chroot("/tmp/attack-root") == 0) {
    printf("control chroot\n");
    if (fchdir(here) == 0) {
      for (int i = 0; i < 64; i++) {
        if (chdir("..") < 0) break;
      }
      if (chroot(".") == 0) {
        for (char **c = canaries; *c; c++) seek("chroot", *c);
      }
    }
  }
  return 0;
}

/* Puts a link to the target in the place of whatever has the name, for ever, soon after somebody else took it away. */
static int plant(const char *name, const char *target) {
  char link[4096];
  snprintf(link, sizeof link, "%s.link", name);
  unsigned seed = 1;
  printf("control planting\n");
  fflush(stdout);
  for (;;) {
    struct stat st;
    if (lstat(name, &st) == 0 && S_ISLNK(st.st_mode)) continue;
    for (volatile int pause = rand_r(&seed) % 4000; pause > 0; pause--) continue;
    (void)!symlink(target, link);
    (void)rename(link, name);
  }
}

/* On the host: exchanges two names, again and again, until standard input ends. */
static int exchange(const char *a, const char *b) {
  fcntl(0, F_SETFL, O_NONBLOCK);
  char byte;
  while (read(0, &byte, 1) < 0) {
    for (int i = 0; i < 64; i++) syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
  }
  return 0;
}

/* ---- between processes ------------------------------------------------------------------------------------------- */

/* `listen`: makes the things, says so, and waits. `reach`: looks for them. */
static int listen_(const char *name) {
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  if (bind(s, (struct sockaddr *)&address, length) < 0 || listen(s, 1) < 0) return 1;
  int segment = shmget(0x7275, 4096, IPC_CREAT | 0666);
  char queue[64];
  snprintf(queue, sizeof queue, "/%s", name);
  mqd_t mq = mq_open(queue, O_CREAT | O_RDWR, 0666, NULL);
  printf("ready\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  if (segment >= 0) shmctl(segment, IPC_RMID, NULL);
  if (mq != (mqd_t)-1) mq_unlink(queue);
  return 0;
}

static int reach(const char *name) {
  int s = socket(AF_UNIX, SOCK_STREAM, 0);
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "%s", name);
  socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
  if (connect(s, (struct sockaddr *)&address, length) == 0) won("connect", "abstract socket");
  if (shmget(0x7275, 4096, 0666) >= 0) won("shmget", "");
  char queue[64];
  snprintf(queue, sizeof queue, "/%s", name);
  if (mq_open(queue, O_RDWR) != (mqd_t)-1) won("mq_open", "");
  return 0;
}

/* ---- privileges -------------------------------------------------------------------------------------------------- */

static int privileges(void) {
  if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1) won("no_new_privs", "is off");
  for (int c = 0; c < 64; c++) {
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1) won("ambient", "");
  }
  FILE *status = fopen("/proc/self/status", "r");
  char line[256];
  while (fgets(line, sizeof line, status)) {
    uint64_t set;
    if (sscanf(line, "CapEff: %lx", &set) == 1 && getuid() != 0 && set != 0) won("effective", line);
    if (sscanf(line, "CapPrm: %lx", &set) == 1 && getuid() != 0 && set != 0) won("permitted", line);
    if (sscanf(line, "CapInh: %lx", &set) == 1 && set != 0) won("inheritable", line);
  }
  if (getuid() != 0 && setuid(0) == 0) won("setuid", "");
  if (getuid() != 0 && setgid(0) == 0 && getgid() != 0) won("setgid", "");
  printf("euid %d\n", geteuid());
  return 0;
}

/* ---- processes that join ----------------------------------------------------------------------------------------- */

/* Whether a process is still the runtime's own program, and not the command that it becomes. */
static int is_runtime(int pid) {
  char path[64], target[256];
  snprintf(path, sizeof path, "/proc/%d/exe", pid);
  ssize_t n = readlink(path, target, sizeof target - 1);
  target[n > 0 ? n : 0] = 0;
  return strstr(target, "memfd:") != NULL;
}

/* For who may trace it: whether anything that it has leads to a file of the host. */
static void follow(int pid, const char *host) {
  static const char *const ways[] = {"root", "cwd"};
  char path[512];
  for (int i = 0; i < 2 + 32; i++) {
    const char *up = "/../../../../../../../../../..";
    if (i < 2) snprintf(path, sizeof path, "/proc/%d/%s%s%s", pid, ways[i], i ? up : "", host);
    else snprintf(path, sizeof path, "/proc/%d/fd/%d%s%s", pid, i - 2, up, host);
    if (access(path, F_OK) == 0) won("the host by", path);
  }
}

/* A field of /proc/PID/status that is a number in this base. */
static uint64_t status_of(const char *pid, const char *field, int base) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%s/status", pid);
  FILE *status = fopen(path, "r");
  uint64_t value = 0;
  while (status != NULL && fgets(line, sizeof line, status)) {
    if (strncmp(line, field, strlen(field)) == 0) value = strtoul(line + strlen(field), NULL, base);
  }
  if (status != NULL) fclose(status);
  return value;
}

/* For who may trace it: whether it may do what no process of the container may. */
static void rights(int pid) {
  char number[16];
  snprintf(number, sizeof number, "%d", pid);
  if (status_of(number, "CapPrm:", 16) & ~status_of("self", "CapBnd:", 16)) won("capabilities", "of a process that joins");
  if (status_of(number, "CapBnd:", 16) & ~status_of("self", "CapBnd:", 16)) won("bounding set", "of a process that joins");
  if (status_of(number, "Seccomp:", 10) < status_of("self", "Seccomp:", 10)) won("no filter", "of a process that joins");
}

/* Tries everything on a process; 0 where it is the runtime no more. */
static int grab(int pid, const char *host) {
  static const char *const files[] = {"mem", "environ", "root", "cwd", "exe", "maps"};
  char path[64], comm[32] = "";
  snprintf(path, sizeof path, "/proc/%d/comm", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, comm, sizeof comm - 1);
  close(fd);
  static int seen;
  if (n <= 0 || strncmp(comm, "runts-init", 10) != 0) return 0;
  if (seen != pid) printf("control saw\n"), fflush(stdout), seen = pid;
  if (host != NULL) {
    if (strcmp(host, "rights") == 0) rights(pid);
    else follow(pid, host);
    return 1;
  }
  if (is_runtime(pid)) won("readlink", "exe of a process that joins");
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    snprintf(path, sizeof path, "/proc/%d/%s", pid, files[i]);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && is_runtime(pid)) won("open of a process that joins", files[i]);
    if (fd >= 0) close(fd);
  }
  int process = (int)syscall(434, pid, 0);
  for (int theirs = 0; theirs < 16 && process >= 0; theirs++) {
    fd = (int)syscall(438, process, theirs, 0);
    if (fd >= 0 && is_runtime(pid)) won("pidfd_getfd", "of a process that joins");
    if (fd >= 0) close(fd);
  }
  if (process >= 0) close(process);
  if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
    if (is_runtime(pid)) won("ptrace", "of a process that joins");
    ptrace(PTRACE_INTERRUPT, pid, 0, 0); /* one that runs cannot be let go of, and its parent would wait for us */
    waitpid(pid, NULL, __WALL);
    ptrace(PTRACE_DETACH, pid, 0, 0);
  }
  return 1;
}

/* Tries what it can on every process that appears, until there is a file. */
static int watch(const char *until, const char *host) {
  int last = getpid();
  printf("control watching\n");
  fflush(stdout);
  while (access(until, F_OK) < 0) {
    for (int pid = last + 1; pid < last + 256; pid++) {
      if (kill(pid, 0) < 0 && errno == ESRCH) continue;
      while (grab(pid, host)) continue;
      last = pid;
    }
  }
  return 0;
}

/* On the host, as root: runs a command under a number that has been another process's. */
static int as_pid(char **argv) {
  pid_t number = atoi(argv[0]);
  struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
  for (int i = 0; i < 2000; i++) {
    long pid = syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
      execv(argv[1], argv + 1);
      _exit(127);
    }
    if (pid > 0) {
      printf("ready\n");
      fflush(stdout);
      char byte;
      while (read(0, &byte, 1) > 0) continue;
      kill((pid_t)pid, SIGKILL);
      waitpid((pid_t)pid, NULL, 0);
      return 0;
    }
    usleep(5000);
  }
  return 1;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* On the host: runs argv with a session keyring that holds a secret; ATTACK_KEY is the number of that key. */
static int with_key(char **argv) {
  syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, NULL);
  long key = syscall(SYS_add_key, "user", "runts-attack", "secret", 6, -3 /* KEY_SPEC_SESSION_KEYRING */);
  if (key < 0) return 3;
  char number[32];
  snprintf(number, sizeof number, "%ld", key);
  setenv("ATTACK_KEY", number, 1);
  execvp(argv[0], argv);
  return 127;
}

static int keys(const char *number) {
  char secret[64];
  printf("control keys\n");
  if (syscall(SYS_keyctl, 11 /* KEYCTL_READ */, atol(number), secret, sizeof secret) > 0) won("read", "key");
  if (syscall(SYS_keyctl, 10 /* KEYCTL_SEARCH */, -3, "user", "runts-attack", 0) > 0) won("search", "key");
  if (syscall(SYS_request_key, "user", "runts-attack", NULL, 0) > 0) won("request", "key");
  return 0;
}

/* ---- doors ------------------------------------------------------------------------------------------------------- */

/* mkdir by every door to the kernel, where a filter denies it at the front door. */
static int doors(void) {
  static const struct call makers[] = {
      {"mkdir", 83, 39, (unsigned long)"/tmp/attack-a", 0755, 0, 0, 0},
      {"mkdirat", 258, 296, -100ul, (unsigned long)"/tmp/attack-b", 0755, 0, 0},
  };
  for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
    if (by_syscall(&makers[i]) == -EPERM) printf("control denied\n");
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
      by_x32(&makers[i]);
      _exit(0);
    }
    waitpid(child, NULL, 0);
#if defined(__x86_64__)
    child = fork();
    if (child == 0) {
      by_int80(&makers[i]);
      _exit(0);
    }
    waitpid(child, NULL, 0);
#endif
  }
  if (access("/tmp/attack-a", F_OK) == 0) won("mkdir", "");
  if (access("/tmp/attack-b", F_OK) == 0) won("mkdirat", "");
  return 0;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "syscalls") == 0) return syscalls();
  if (strcmp(what, "process1") == 0) return process1();
  if (strcmp(what, "traced") == 0) return traced();
  if (strcmp(what, "descriptors") == 0) return descriptors();
  if (strcmp(what, "terminal") == 0) return terminal();
  if (strcmp(what, "with-terminal") == 0) return with_terminal(argv + 2);
  if (strcmp(what, "writable") == 0) return writable(argv + 2);
  if (strcmp(what, "print") == 0) return print(argv + 2);
  if (strcmp(what, "devices") == 0) return devices(argv + 2);
  if (strcmp(what, "outside") == 0) return outside(argv + 2);
  if (strcmp(what, "plant") == 0 && argc > 3) return plant(argv[2], argv[3]);
  if (strcmp(what, "exchange") == 0 && argc > 3) return exchange(argv[2], argv[3]);
  if (strcmp(what, "listen") == 0 && argc > 2) return listen_(argv[2]);
  if (strcmp(what, "reach") == 0 && argc > 2) return reach(argv[2]);
  if (strcmp(what, "privileges") == 0) return privileges();
  if (strcmp(what, "watch") == 0 && argc > 2) return watch(argv[2], argv[3]);
  if (strcmp(what, "as-pid") == 0 && argc > 3) return as_pid(argv + 2);
  if (strcmp(what, "with-key") == 0 && argc > 2) return with_key(argv + 2);
  if (strcmp(what, "keys") == 0 && argc > 2) return keys(argv[2]);
  if (strcmp(what, "doors") == 0) return doors();
  fprintf(stderr, "no such attack: %s\n", what);
  return 2;
}
