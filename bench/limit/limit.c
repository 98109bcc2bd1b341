// The price of a container that no runtime can avoid: a program that makes, for the bundle of the benchmark, the system calls
// that the init of runts makes, one after the other, and knows nothing else. It reads commands and answers each with a line:
//
//   container      a container with Docker's defaults that runs /bin/true      nanoseconds until it was reaped
//   unfiltered     the same without a seccomp filter                           nanoseconds
//   bare           /bin/true executed without any container                    nanoseconds
//   exec PID       /bin/true in all namespaces of a process                    nanoseconds
//   loop           a fixed piece of work that asks the kernel for nothing      nanoseconds
//   batch N M      N containers, M at a time                                   nanoseconds for all of them
//   spawn FILE ARG…  a program with its output thrown away                     nanoseconds, largest resident set in KiB
//
// An answer that is not a number is the reason why there is none. What it leaves out: the init's own exec, the messages that
// bring a program to it, and the verification of the program. As root it goes by an empty mount namespace, as runts does from
// the second container on. Its first argument is a root file system, the second a file
// with a seccomp filter; a third, `cgroup`, adds a mount of cgroups, which not every peer can do on every host. As an
// ordinary user it adds a user namespace with one id.
//
//   mounts N PROGRAM ARG…   as arguments instead: PROGRAM in a mount namespace with N mounts more
#define _GNU_SOURCE
#include "limit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kWordsMax = 64, kLineMax = 8192, kFailed = 125, kLoopRounds = 1000000 };
static const uint64_t kNamespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET;

_Noreturn void give_up(const char* doing) {
  fprintf(stderr, "%s: %s\n", doing, strerror(errno));
  _exit(kFailed);
}

long must(long result, const char* doing) {
  if (result < 0) give_up(doing);
  return result;
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}

// As fork: 0 in the child, its pid here.
static pid_t clone_process(uint64_t flags) {
  // A child of our parent tells it what we tell it.
  struct clone_args args = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
  return (pid_t)syscall(SYS_clone3, &args, sizeof args);
}

static bool write_text(pid_t pid, const char* name, const char* text) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
  if (fd >= 0) close(fd);
  return written;
}

static bool write_maps(pid_t pid) {
  char uids[32], gids[32];
  snprintf(uids, sizeof uids, "0 %u 1", getuid());
  snprintf(gids, sizeof gids, "0 %u 1", getgid());
  return write_text(pid, "setgroups", "deny") && write_text(pid, "uid_map", uids) && write_text(pid, "gid_map", gids);
}

static pid_t start_container(const struct Settings* settings, bool filtered) {
  int mapped[2] = {-1, -1};
  if (settings->user && pipe2(mapped, O_CLOEXEC) != 0) return -1;
  uint64_t mounts = settings->empty_mounts >= 0 ? CLONE_NEWNS : 0;  // made by itself
  pid_t pid = clone_process((kNamespaces & ~mounts) | (settings->user ? CLONE_NEWUSER : 0));
  if (pid == 0) {
    char byte;
    if (settings->user && read(mapped[0], &byte, 1) != 1) _exit(kFailed);
    enter_rootfs(settings);
    become(settings, filtered, "/bin/true");
  }
  if (settings->user) {
    if (pid > 0 && write_maps(pid)) (void)!write(mapped[1], "", 1);  // else its end tells
    close(mapped[0]);
    close(mapped[1]);
  }
  return pid;
}

static bool reap(pid_t pid) {
  int status;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool run_bare(void) {
  pid_t pid = vfork();
  if (pid == 0) {
    execl("/proc/self/fd/9", "true", NULL);
    _exit(kFailed);
  }
  return reap(pid);
}

// Into a running container, as `exec` of a runtime goes: joined all at once, then a child, which is in the PID namespace.
static bool run_inside(const struct Settings* settings, const char* target) {
  pid_t pid = clone_process(0);
  if (pid == 0) {
    int process = (int)must(syscall(SYS_pidfd_open, atoi(target), 0), "pidfd_open");
    uint64_t all = kNamespaces | CLONE_NEWCGROUP | (settings->user ? CLONE_NEWUSER : 0);
    must(setns(process, (int)all), "setns");
    pid_t inner = (pid_t)must(clone_process(CLONE_PARENT), "clone");
    if (inner == 0) become(settings, true, "/bin/true");
    _exit(0);
  }
  int status;
  return reap(pid) && wait(&status) > 0 && status == 0;  // CLONE_PARENT has made the second one our child as well
}

static void work(void) {
  volatile uint64_t sum = 0;
  for (uint64_t i = 0; i < kLoopRounds; i++) sum += i ^ sum >> 3;
}

static bool run_batch(const struct Settings* settings, int count, int at_once) {
  int alive = 0, started = 0;
  bool fine = true;
  while (started < count || alive > 0) {
    while (started < count && alive < at_once) {
      if (start_container(settings, true) < 0) return false;
      started++, alive++;
    }
    int status;
    if (wait(&status) < 0) return false;
    fine = fine && status == 0;
    alive--;
  }
  return fine;
}

// Descriptor 3 is the filter: a peer may read it.
static bool run_program(const char* filter, char** words, long* resident) {
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  pid_t pid = vfork();
  if (pid == 0) {
    for (int fd = 0; fd < 3; fd++) dup2(null, fd);
    int file = open(filter, O_RDONLY);
    if (file != 3) dup3(file, 3, 0);
    execvp(words[0], words);
    _exit(kFailed);
  }
  close(null);
  int status;
  struct rusage usage;
  if (pid < 0 || wait4(pid, &status, 0, &usage) != pid) return false;
  *resident = usage.ru_maxrss;
  return status == 0;
}

static void answer(const struct Settings* settings, char** words, int count) {
  bool fine = true;
  long resident = -1;
  int64_t began = now_ns();
  if (strcmp(words[0], "container") == 0) fine = reap(start_container(settings, true));
  else if (strcmp(words[0], "unfiltered") == 0) fine = reap(start_container(settings, false));
  else if (strcmp(words[0], "bare") == 0) fine = run_bare();
  else if (strcmp(words[0], "exec") == 0 && count == 2) fine = run_inside(settings, words[1]);
  else if (strcmp(words[0], "loop") == 0) work();
  else if (strcmp(words[0], "batch") == 0 && count == 3) fine = run_batch(settings, atoi(words[1]), atoi(words[2]));
  else if (strcmp(words[0], "spawn") == 0 && count > 1) fine = run_program(settings->filter_path, words + 1, &resident);
  else fine = false;
  int64_t took = now_ns() - began;
  if (!fine) printf("%s did not end well\n", words[0]);
  else if (resident >= 0) printf("%lld %ld\n", (long long)took, resident);
  else printf("%lld\n", (long long)took);
  fflush(stdout);
}

static int with_mounts(int count, char** program) {
  char path[] = "/tmp/runts-limit-XXXXXX", name[64];
  if (unshare(CLONE_NEWNS) != 0) return perror("unshare"), kFailed;
  if (!mkdtemp(path)) return perror("mkdtemp"), kFailed;
  if (syscall(SYS_mount, NULL, "/", NULL, 1 << 18 | 1 << 14, NULL) != 0) return perror("mount"), kFailed;  // private, all
  if (syscall(SYS_mount, "none", path, "tmpfs", 0, NULL) != 0) return perror("mount"), kFailed;
  for (int i = 1; i < count; i++) {
    snprintf(name, sizeof name, "%s/%d", path, i);
    if (mkdir(name, 0700) != 0) return perror("mkdir"), kFailed;
    if (syscall(SYS_mount, path, name, NULL, 1 << 12, NULL) != 0) return perror("mount"), kFailed;  // bind
  }
  pid_t pid = fork();
  if (pid == 0) {
    execvp(program[0], program);
    _exit(kFailed);
  }
  int status;
  (void)waitpid(pid, &status, 0);
  (void)syscall(SYS_umount2, path, 2);  // ours alone, and so are the mounts; the directory is everybody's
  (void)rmdir(path);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kFailed;
}

static bool read_filter(const char* path, struct Settings* settings) {
  static char filter[64 << 10];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, filter, sizeof filter);
  if (fd >= 0) close(fd);
  settings->filter = filter;
  settings->filter_path = path;
  settings->filter_bytes = (size_t)size;
  return size > 0;
}

// The command outside a container, for `bare`: held open, because a rootfs may lie where the way takes long.
static bool hold_command(const char* rootfs) {
  char path[4096];
  snprintf(path, sizeof path, "%s/bin/true", rootfs);
  int fd = open(path, O_PATH);
  return fd >= 0 && dup3(fd, 9, 0) == 9;
}

int main(int argc, char** argv) {
  if (argc > 3 && strcmp(argv[1], "mounts") == 0) return with_mounts(atoi(argv[2]), argv + 3);
  struct Settings settings = {.rootfs = argv[1], .user = geteuid() != 0, .cgroup = argc > 3};
  if (argc < 3 || !read_filter(argv[2], &settings) || !hold_command(argv[1])) {
    fprintf(stderr, "usage: limit ROOTFS FILTER [cgroup], or limit mounts N PROGRAM [ARG …]\n");
    return 2;
  }
  settings.empty_mounts = settings.user ? -1 : make_empty_mounts();
  char line[kLineMax], *words[kWordsMax];
  while (fgets(line, sizeof line, stdin)) {
    int count = 0;
    for (char* word = strtok(line, " \n"); word && count < kWordsMax - 1; word = strtok(NULL, " \n")) words[count++] = word;
    words[count] = NULL;
    if (count > 0) answer(&settings, words, count);
  }
  return 0;
}
