#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "../program/format.h"

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

namespace runts {

namespace {

enum { kSigchld = 17, kSigkill = 9, kSetMask = 2, kChannelFd = 3, kStackBytes = 64 << 10, kGuardBytes = 64 << 10 };
constexpr int kMessageRoom = 2 * (kMessageBytesMax + 4096);

// What the child needs, and what it says when it fails. It lies on the stack of a thread that waits.
struct Child {
  int null, channel, image;
  // Where the table of descriptors ends that it is to have for itself; 0: it has it.
  int end;
  bool keep_capabilities;
  Step step;
  int error;
};

struct Stack {
  Stack() {
    base = mmap(nullptr, kStackBytes + kGuardBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base != MAP_FAILED && mprotect(bottom(), kStackBytes, PROT_READ | PROT_WRITE) != 0) {
      munmap(base, kStackBytes + kGuardBytes);
      base = MAP_FAILED;
    }
  }
  ~Stack() {
    if (ok()) munmap(base, kStackBytes + kGuardBytes);
  }
  Stack(const Stack&) = delete;
  bool ok() const { return base != MAP_FAILED; }
  char* bottom() const { return static_cast<char*>(base) + kGuardBytes; }
  char* top() const { return bottom() + kStackBytes; }

  void* base;
};

// Every signal, those of the libc's threads too: a handler must not run in the child, on our memory.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    uint64_t all = ~0ull;
    (void)sys(__NR_rt_sigprocmask, kSetMask, &all, &before_, sizeof all);  // cannot fail with these arguments
  }
  ~SignalsBlocked() { (void)sys(__NR_rt_sigprocmask, kSetMask, &before_, nullptr, sizeof before_); }

 private:
  uint64_t before_ = 0;
};

// A clone whose child calls child(argument) on the stack that the arguments name, and never comes back from it.
long clone_onto_stack(long number, long a, long b, long c, void (*child)(void*), void* argument) {
#if defined(__x86_64__)
  long result;
  register long d asm("r10") = 0;
  register long e asm("r8") = 0;
  register void (*entry)(void*) asm("r9") = child;
  register void* parameter asm("r12") = argument;
  asm volatile("syscall\n\t"
               "test %%rax, %%rax\n\t"
               "jnz 1f\n\t"
               "xor %%ebp, %%ebp\n\t"
               "mov %%r12, %%rdi\n\t"
               "call *%%r9\n\t"
               "ud2\n"
               "1:"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(d), "r"(e), "r"(entry), "r"(parameter)
               : "rcx", "r11", "memory", "cc");
  return result;
#else
  register long x8 asm("x8") = number;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = 0;
  register long x4 asm("x4") = 0;
  register void (*entry)(void*) asm("x9") = child;
  register void* parameter asm("x10") = argument;
  asm volatile("svc 0\n\t"
               "cbnz x0, 1f\n\t"
               "mov x29, xzr\n\t"
               "mov x0, x10\n\t"
               "blr x9\n\t"
               "brk 0\n"
               "1:"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(entry), "r"(parameter)
               : "memory", "cc");
  return x0;
#endif
}

// Our uid has no mapping yet in the new user namespace, so the exec would drop every capability but the ambient ones.
long make_capabilities_ambient() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  long r = sys(__NR_capget, &header, data);
  if (r < 0) return r;
  for (auto& half : data) half.inheritable = half.permitted;
  r = sys(__NR_capset, &header, data);
  uint64_t permitted = data[0].permitted | static_cast<uint64_t>(data[1].permitted) << 32;
  for (int c = 0; c < 64 && r >= 0; c++) {
    if (permitted >> c & 1) r = sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0);
  }
  return r;
}

// "/proc/self/fd/N", without the libc.
const char* name_of_descriptor(char* to, size_t size, int fd) {
  char* at = to + size;
  *--at = 0;
  do *--at = static_cast<char>('0' + fd % 10);
  while ((fd /= 10) != 0);
  constexpr char kDirectory[] = "/proc/self/fd/";
  for (size_t i = sizeof kDirectory - 1; i > 0; i--) *--at = kDirectory[i - 1];
  return at;
}

// Runs on our memory while our thread waits: no allocation, no lock, nothing of the libc, and it writes only to its
// argument and to its stack.
void child_main(void* argument) {
  auto* child = static_cast<Child*>(argument);
  auto fail = [child](Step step, long error) {
    child->step = step;
    child->error = static_cast<int>(error);
    for (;;) (void)sys(__NR_exit_group, 127);
  };
  // First of all: until here what it did to a descriptor was done to ours.
  if (child->end > 0) {
    long r = sys(__NR_close_range, child->end, ~0u, CLOSE_RANGE_UNSHARE);
    if (r < 0) fail(kStepCloseRange, r);
  }
  if (child->keep_capabilities) {
    long r = make_capabilities_ambient();
    if (r < 0) fail(kStepCapset, r);
  }
  for (int to = 0; to < kChannelFd; to++) {
    long r = sys(__NR_dup3, child->null, to, 0);
    if (r < 0) fail(kStepDup3, r);
  }
  long r = sys(__NR_dup3, child->channel, kChannelFd, 0);
  if (r < 0) fail(kStepDup3, r);
  const char* argv[] = {"runts-init", nullptr};
  const char* env[] = {nullptr};
  r = sys(__NR_execveat, child->image, "", argv, env, AT_EMPTY_PATH);
  if (r == -ENOSYS || r == -EPERM) {
    // Hidden by a filter: the same file by its place in procfs, which is the host's here.
    char path[32];
    long other = sys(__NR_execve, name_of_descriptor(path, sizeof path, child->image), argv, env);
    if (other != -ENOENT) r = other;
  }
  fail(kStepExecve, r);
}

// Where clone3 is missing or hidden by a seccomp filter (ENOSYS), clone has all but a birth in a cgroup; the handlers
// that it does not clear are dropped by the exec.
long clone_process(uint64_t flags, int cgroup, const Stack& stack, int* pidfd, Child* child) {
  flags |= CLONE_VM | CLONE_VFORK | CLONE_PIDFD;
  if (child->end > 0) flags |= CLONE_FILES;
  struct clone_args args = {};
  args.flags = flags | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  args.exit_signal = kSigchld;
  args.stack = reinterpret_cast<uint64_t>(stack.bottom());
  args.stack_size = kStackBytes;
  if (cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(cgroup);
  }
  long r = clone_onto_stack(__NR_clone3, word(&args), sizeof args, 0, child_main, child);
  constexpr uint64_t kNewTime = 0x80;  // its bit is the exit signal's in clone
  if (r != -ENOSYS || cgroup >= 0 || flags & kNewTime) return r;
  return clone_onto_stack(__NR_clone, static_cast<long>(flags | kSigchld), word(stack.top()), word(pidfd), child_main,
                          child);
}

// A failure of the child is told by `child`.
long clone_child(uint64_t flags, int cgroup, int* pidfd, Child* child) {
  Stack stack;
  if (!stack.ok()) return -ENOMEM;
  SignalsBlocked blocked;
  return clone_process(flags, cgroup, stack, pidfd, child);
}

void collect(int process) {
  while (sys(__NR_waitid, P_PIDFD, process, nullptr, WEXITED | __WALL, nullptr) == -EINTR) continue;
}

// One message of the longest kind must fit, whatever net.core.wmem_default is.
void widen(int channel) {
  int bytes = 0;
  uint32_t size = sizeof bytes;
  (void)sys(__NR_getsockopt, channel, SOL_SOCKET, SO_SNDBUF, &bytes, &size);
  if (bytes >= kMessageRoom) return;
  bytes = kMessageRoom / 2;  // the kernel doubles it
  (void)sys(__NR_setsockopt, channel, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);  // a send will tell (EMSGSIZE)
}

// Moves a descriptor out of the way of 0 to 3, where the child's are put.
int above_standard(Where& at, Fd* fd) {
  if (fd->get() > kChannelFd) return 0;
  int moved = check(at, kStepFcntl, sys(__NR_fcntl, fd->get(), F_DUPFD_CLOEXEC, kChannelFd + 1));
  if (moved >= 0) fd->reset(moved);
  return moved < 0 ? moved : 0;
}

}  // namespace

int open_channel(Where& at, ChannelEnds* ends) {
  int pair[2];
  int r = check(at, kStepSocket, sys(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
  if (r < 0) return r;
  ends->ours.reset(pair[0]);
  ends->theirs.reset(pair[1]);
  widen(ends->ours.get());
  return above_standard(at, &ends->theirs);
}

int spawn_init(Where& at, uint64_t flags, int cgroup, int image, int channel, Spawned* spawned, const Seats* seats) {
  Fd null(check(at, kStepOpen, "/dev/null", sys(__NR_openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC)));
  if (!null.ok()) return null.get();
  at.detail = "";
  int r = above_standard(at, &null);
  if (r < 0) return r;

  bool seated = seats && sys(__NR_dup3, null.get(), seats->null, O_CLOEXEC) >= 0 &&
                sys(__NR_dup3, channel, seats->channel, O_CLOEXEC) >= 0;
  Child child = {null.get(), channel, image, 0, (flags & CLONE_NEWUSER) != 0, kStepOp, 0};
  if (seated) child = {seats->null, seats->channel, image, seats->end, child.keep_capabilities, kStepOp, 0};
  int pidfd = -1;
  long pid = clone_child(flags, cgroup, &pidfd, &child);
  if (pid < 0) return check(at, kStepClone, pid);
  Fd process(pidfd);
  if (child.error != 0) {
    collect(process.get());
    return check(at, child.step, "runts-init", child.error);
  }
  spawned->pid = static_cast<int>(pid);
  spawned->process = static_cast<Fd&&>(process);
  return 0;
}

void abandon(Spawned* spawned) {
  if (!spawned->process.ok()) return;
  (void)sys(__NR_pidfd_send_signal, spawned->process.get(), kSigkill, nullptr, 0);  // it may have ended by itself
  collect(spawned->process.get());
  spawned->process.reset();
}

}  // namespace runts
