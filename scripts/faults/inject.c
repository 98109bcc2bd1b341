// Runs a program, and lets one of its system calls fail, or kills it there. Which one is said by number: calls are counted
// over all threads of a process, from the moment the program opens a file that is named (so that the start of an
// interpreter is left out), and only those that are listed. When the program has ended, what it left running is let go of.
//
// inject LOG SECONDS UID GID PROGRAM ARG...; its standard input has one order a line:
//   mark SUFFIX       counting begins when a file with a path that ends so is opened; without it, at once
//   init NAME         what has this in the name of its program is an init
//   scope host|init   whose calls count: those of the program itself, or those of inits, and of what they fork
//   act fail|kill|killhost|list
//   at K              the call that the act is about, from 1; 0 for none, to count only
//   variant V         which of the errnos of that call
//   changers 1        files that are only opened do not count, and pipes do
//   skip PART         calls do not count that are about a path with this in it
//   call NUMBER [ERRNO...]
//   deny NUMBER ERRNO every one of these calls fails, of every process, from the beginning
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kCalls = 512, kErrnos = 8, kSkips = 8, kTracees = 4096 };
enum Act { kFail, kKill, kKillHost, kList };

static struct {
  char mark[256], init[64];
  bool init_scope, changers;
  enum Act act;
  long at, variant;
  char skip[kSkips][64];
  int skips;
  struct {
    bool counted;
    int errnos, errno_of[kErrnos], denied;
  } call[kCalls];
} orders;

struct Tracee {
  pid_t tid, tgid;
  bool is_init;
  int inject;  // an errno to give at the end of the call
};

static struct Tracee tracees[kTracees];
static int tracee_count;
static pid_t host;
static bool marked, hit;
static long counted[2];
static FILE* report;

static void say(const char* format, ...) {
  va_list list;
  va_start(list, format);
  vfprintf(report, format, list);
  va_end(list);
  fputc('\n', report);
  fflush(report);
}

static pid_t group_of(pid_t tid) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", tid);
  FILE* file = fopen(path, "re");
  pid_t group = tid;
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "Tgid: %d", &group) == 1) break;
  }
  if (file) fclose(file);
  return group;
}

static struct Tracee* find(pid_t tid) {
  for (int i = 0; i < tracee_count; i++) {
    if (tracees[i].tid == tid) return &tracees[i];
  }
  return NULL;
}

static struct Tracee* tracee_of(pid_t tid) {
  struct Tracee* known = find(tid);
  if (known) return known;
  if (tracee_count == kTracees) abort();
  known = &tracees[tracee_count++];
  *known = (struct Tracee){.tid = tid, .tgid = group_of(tid)};
  struct Tracee* leader = known->tgid == tid ? NULL : find(known->tgid);
  if (leader) known->is_init = leader->is_init;
  return known;
}

static bool runs_init(pid_t tid) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/%d/exe", tid);
  ssize_t n = readlink(path, text, sizeof text - 1);
  text[n < 0 ? 0 : n] = '\0';
  return strstr(text, orders.init) != NULL;
}

static void forget(pid_t tid) {
  struct Tracee* gone = find(tid);
  if (gone) *gone = tracees[--tracee_count];
}

static void text_of(pid_t pid, uint64_t address, char* text, size_t size) {
  struct iovec ours = {text, size - 1}, theirs = {(void*)(uintptr_t)address, size - 1};
  ssize_t n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
  if (n < 0) {
    // The string may end just before memory that is not there.
    theirs.iov_len = ours.iov_len = 4096 - (address & 4095) < size - 1 ? 4096 - (address & 4095) : size - 1;
    n = process_vm_readv(pid, &ours, 1, &theirs, 1, 0);
  }
  text[n < 0 ? 0 : n] = '\0';
}

static void file_of(pid_t tid, int fd, char* text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, fd);
  ssize_t n = readlink(path, text, size - 1);
  text[n < 0 ? 0 : n] = '\0';
}

// What a call is about: a path, or what a descriptor leads to.
static void subject(pid_t tid, const struct __ptrace_syscall_info* info, char* text, size_t size) {
  text[0] = '\0';
  switch (info->entry.nr) {
    case SYS_openat:
    case SYS_statx:
    case SYS_newfstatat:
    case SYS_mkdirat:
    case SYS_unlinkat:
    case SYS_readlinkat:
#ifdef SYS_openat2
    case SYS_openat2:
#endif
      text_of(tid, info->entry.args[1], text, size);
      if (text[0] == '\0') file_of(tid, (int)info->entry.args[0], text, size);
      return;
#ifdef __x86_64__
    case SYS_open:
    case SYS_stat:
    case SYS_lstat:
    case SYS_mkdir:
    case SYS_rmdir:
    case SYS_unlink:
    case SYS_rename:
    case SYS_readlink:
    case SYS_access:
#endif
    case SYS_execve:
      text_of(tid, info->entry.args[0], text, size);
      return;
    default:
      file_of(tid, (int)info->entry.args[0], text, size);
  }
}

static bool makes_thread(pid_t tid, const struct __ptrace_syscall_info* info) {
  uint64_t flags = 0;
  if (info->entry.nr == SYS_clone) return (info->entry.args[0] & CLONE_THREAD) != 0;
#ifdef SYS_clone3
  if (info->entry.nr != SYS_clone3) return false;
  struct iovec ours = {&flags, sizeof flags}, theirs = {(void*)(uintptr_t)info->entry.args[0], sizeof flags};
  return process_vm_readv(tid, &ours, 1, &theirs, 1, 0) > 0 && (flags & CLONE_THREAD) != 0;
#else
  return false;
#endif
}

// Calls that are no point of ours: of the libraries below, which end the process where they fail.
static bool is_internal(pid_t tid, const struct __ptrace_syscall_info* info, bool of_host) {
  switch (info->entry.nr) {
    case SYS_fcntl: {
      uint64_t command = info->entry.args[1];
      return command != F_DUPFD && command != F_DUPFD_CLOEXEC && command != F_ADD_SEALS;
    }
    case SYS_fstat:
    case SYS_ioctl:
      // Node looks at the standard streams at its beginning and at its end, and aborts where it cannot.
      return of_host && (int)info->entry.args[0] <= 2;
    case SYS_openat:
      // To open what is there changes nothing: killed here is killed at the next call that does.
      return orders.changers && (info->entry.args[2] & O_CREAT) == 0;
    case SYS_read:
    case SYS_write:
    case SYS_close: {
      char text[256];
      subject(tid, info, text, sizeof text);
      // The close of a socket cannot fail, and the event loop ends the process where it does.
      if (of_host && info->entry.nr == SYS_close && strncmp(text, "socket:", 7) == 0) return true;
      return strncmp(text, "anon_inode:[event", 17) == 0 || (info->entry.nr != SYS_close && strncmp(text, "pipe:", 5) == 0 &&
             !orders.changers && info->entry.args[0] > 2);
    }
    default:
      return makes_thread(tid, info);
  }
}

// The number of a call that is not there: the kernel does nothing then.
static void set_call(pid_t tid, int number) {
#ifdef __x86_64__
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
  registers.orig_rax = (unsigned long long)(long long)number;
  ptrace(PTRACE_SETREGS, tid, 0, &registers);
#else
  struct iovec vector = {&number, sizeof number};
  ptrace(PTRACE_SETREGSET, tid, 0x404 /* NT_ARM_SYSTEM_CALL */, &vector);
#endif
}

static void set_result(pid_t tid, long result) {
#ifdef __x86_64__
  struct user_regs_struct registers;
  if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0) return;
  registers.rax = (unsigned long long)result;
  ptrace(PTRACE_SETREGS, tid, 0, &registers);
#else
  struct user_regs_struct registers;
  struct iovec vector = {&registers, sizeof registers};
  if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) != 0) return;
  registers.regs[0] = (unsigned long long)result;
  ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &vector);
#endif
}

static bool ends_with(const char* text, const char* end) {
  size_t a = strlen(text), b = strlen(end);
  return a >= b && strcmp(text + a - b, end) == 0;
}

static void fail_with(struct Tracee* tracee, int error, uint64_t number) {
  // Whatever close says, the descriptor is closed.
  if (number != SYS_close) set_call(tracee->tid, -1);
  tracee->inject = error;
}

// The beginning of a system call.
static void entered(struct Tracee* tracee, const struct __ptrace_syscall_info* info) {
  uint64_t number = info->entry.nr;
  if (number >= kCalls) return;
  bool is_host = tracee->tgid == host;
  char text[512];
  if (!marked && is_host && number == SYS_openat) {
    text_of(tracee->tid, info->entry.args[1], text, sizeof text);
    marked = ends_with(text, orders.mark);
  }
  // The libc has no other way to make a thread than clone3, unless it is not there at all.
  bool thread = orders.call[number].denied != ENOSYS && makes_thread(tracee->tid, info);
  if (orders.call[number].denied != 0 && !thread) {
    fail_with(tracee, orders.call[number].denied, number);
    return;
  }
  bool is_init = !is_host && tracee->is_init;
  if (!marked || hit || !orders.call[number].counted || !(is_host || is_init) || is_internal(tracee->tid, info, is_host)) return;
  subject(tracee->tid, info, text, sizeof text);
  for (int i = 0; i < orders.skips; i++) {
    if (strstr(text, orders.skip[i])) return;
  }
  long k = ++counted[is_host ? 0 : 1];
  if (orders.act == kList) {
    say("call %s %ld %d %s", is_host ? "host" : "init", k, (int)number, text);
  }
  if (is_host == orders.init_scope || k != orders.at) return;
  hit = true;
  int errnos = orders.call[number].errnos;
  int error = orders.act == kFail && errnos > 0 ? orders.call[number].errno_of[orders.variant % errnos] : 0;
  say("hit %d %d %s", (int)number, error, text);
  if (orders.act == kFail && error != 0) fail_with(tracee, error, number);
  if (orders.act == kKill) kill(tracee->tgid, SIGKILL);
  if (orders.act == kKillHost) kill(host, SIGKILL);
}

static void ended(const char* how, int value) {
  say("counted %ld %ld", counted[0], counted[1]);
  say("%s %d", how, value);
  // Every tracee is let go of, and runs on.
  exit(0);
}

static void out_of_time(int signal) {
  (void)signal;
  for (int i = 0; i < tracee_count; i++) {
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/syscall", tracees[i].tid);
    FILE* file = fopen(path, "re");
    if (file && !fgets(line, sizeof line, file)) line[0] = '\0';
    if (file) fclose(file);
    line[strcspn(line, "\n")] = '\0';
    say("stuck %d of %d: %s", tracees[i].tid, tracees[i].tgid, line);
  }
  kill(host, SIGKILL);
  ended("timeout", 0);
}

static void read_orders(void) {
  char line[512], word[32], value[256];
  marked = true;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%31s %255s", word, value) < 2) continue;
    if (strcmp(word, "mark") == 0) {
      snprintf(orders.mark, sizeof orders.mark, "%.255s", value);
      marked = false;
    } else if (strcmp(word, "init") == 0) {
      snprintf(orders.init, sizeof orders.init, "%.63s", value);
    } else if (strcmp(word, "scope") == 0) {
      orders.init_scope = strcmp(value, "init") == 0;
    } else if (strcmp(word, "changers") == 0) {
      orders.changers = value[0] == '1';
    } else if (strcmp(word, "act") == 0) {
      orders.act = strcmp(value, "kill") == 0       ? kKill
                   : strcmp(value, "killhost") == 0 ? kKillHost
                   : strcmp(value, "list") == 0     ? kList
                                                    : kFail;
    } else if (strcmp(word, "at") == 0) {
      orders.at = atol(value);
    } else if (strcmp(word, "variant") == 0) {
      orders.variant = atol(value);
    } else if (strcmp(word, "skip") == 0 && orders.skips < kSkips) {
      snprintf(orders.skip[orders.skips++], sizeof orders.skip[0], "%.63s", value);
    } else if (strcmp(word, "call") == 0 || strcmp(word, "deny") == 0) {
      char* rest = line + 5;
      long number = strtol(rest, &rest, 10);
      if (number < 0 || number >= kCalls) continue;
      if (word[0] == 'd') {
        orders.call[number].denied = (int)strtol(rest, &rest, 10);
        continue;
      }
      orders.call[number].counted = true;
      for (long error = strtol(rest, &rest, 10); error > 0 && orders.call[number].errnos < kErrnos;
           error = strtol(rest, &rest, 10)) {
        orders.call[number].errno_of[orders.call[number].errnos++] = (int)error;
      }
    }
  }
}

static pid_t begin(char** argv, uid_t uid, gid_t gid) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  raise(SIGSTOP);
  int null = open("/dev/null", O_RDONLY);
  dup2(null, 0);
  if (null > 2) close(null);
  if (uid != 0 && (setgroups(0, NULL) != 0 || setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)) _exit(126);
  execv(argv[0], argv);
  _exit(127);
}

int main(int argc, char** argv) {
  if (argc < 6) return 2;
  report = fopen(argv[1], "we");
  if (!report) return 2;
  read_orders();
  host = begin(argv + 5, (uid_t)atol(argv[3]), (gid_t)atol(argv[4]));
  int status;
  waitpid(host, &status, WUNTRACED);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC;
  if (ptrace(PTRACE_SEIZE, host, 0, options) != 0) return 2;
  (void)tracee_of(host);
  signal(SIGALRM, out_of_time);
  alarm((unsigned)atol(argv[2]));
  kill(host, SIGCONT);
  for (;;) {
    pid_t tid = waitpid(-1, &status, __WALL);
    if (tid < 0) {
      if (errno == EINTR) continue;
      ended("lost", errno);
    }
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      if (tid == host) ended(WIFEXITED(status) ? "exit" : "signal", WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
      forget(tid);
      continue;
    }
    struct Tracee* tracee = tracee_of(tid);
    int delivered = 0, number = WSTOPSIG(status), event = status >> 16;
    if (number == (SIGTRAP | 0x80)) {
      struct __ptrace_syscall_info info;
      if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0) {
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY) entered(tracee, &info);
        else if (info.op == PTRACE_SYSCALL_INFO_EXIT && tracee->inject != 0) {
          set_result(tid, -tracee->inject);
          tracee->inject = 0;
        }
      }
    } else if (event == PTRACE_EVENT_EXEC) {
      tracee->is_init = runs_init(tid);
    } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
      unsigned long made = 0;
      ptrace(PTRACE_GETEVENTMSG, tid, 0, &made);
      bool is_init = tracee->is_init;
      if (made != 0) tracee_of((pid_t)made)->is_init = is_init;
    } else if (event == PTRACE_EVENT_STOP && number != SIGTRAP) {
      ptrace(PTRACE_LISTEN, tid, 0, 0);  // a group stop: it stays stopped
      continue;
    } else if (event == 0) {
      delivered = number;
    }
    ptrace(PTRACE_SYSCALL, tid, 0, delivered);
  }
}
