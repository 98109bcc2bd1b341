// Process 1 of a container with `init: true`. It forwards signals to the command, collects what the command orphans,
// tells the host how the command ended, and ends everything when the host is gone: the kernel kills a pid namespace with
// its process 1 (pid_namespaces(7)).
#include "reap.h"

#include <linux/audit.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "../ops/identity.h"
#include "../ops/namespaces.h"
#include "../ops/process.h"
#include "../program/link.h"
#include "bare.h"
#include "channel.h"
#include "log.h"

// Where stays.ld has put what a reaper needs, and what it does not. Hidden, so that they are found without a table.
#pragma GCC visibility push(hidden)
extern "C" const uint8_t __ehdr_start[], stays[], goes[], _end[];
#pragma GCC visibility pop

namespace runts {

namespace {

enum { kSigchld = 17, kSigkill = 9, kSetBytes = 8, kKeptMax = 4 + kSegmentsMax + 3 };
enum : uintptr_t { kPage = 4096, kFrameMax = 512, kStackMax = 128 << 10 };

// The command's end of a pipe that closes at its exec, or with its death.
int exec_notice = -1;
// The command's end of another, under a reaper that is traced: a byte comes when it is confined.
int confined_notice = -1;

// A page that both sides see until the exec takes it from the command.
struct Shared {
  volatile bool failed;
  Frame failure;
};
Shared* shared = nullptr;

void tell(FrameKind kind, uint64_t value) {
  Frame frame = {};
  frame.kind = kind;
  frame.value = value;
  (void)send_frame(frame, -1);  // a host that is gone is seen by poll
}

enum Collected { kNone, kMore, kCommand };

// Collects zombies, but not for ever: a command that makes them without end must not keep us from the host.
Collected collect(int command, int* status) {
  for (int i = 0; i < 64; i++) {
    int ended = 0;
    long pid = sys(__NR_wait4, -1, &ended, WNOHANG, nullptr);
    if (pid <= 0) return kNone;
    if (pid == command) {
      *status = ended;
      return kCommand;
    }
  }
  return kMore;
}

[[noreturn]] void end(int status) {
  if (keeps_log()) end_log(status);
  tell(kFrameExit, static_cast<uint64_t>(static_cast<uint32_t>(status)));
  int signal = status & 0x7f;
  leave(signal ? 128 + signal : status >> 8 & 0xff);
}

// Reads pending signals and passes them on; SIGCHLD is ours.
void forward(int signals, int command) {
  struct {
    uint32_t number;
    uint8_t rest[124];
  } info;
  while (sys(__NR_read, signals, &info, sizeof info) == sizeof info) {
    if (info.number != kSigchld) (void)sys(__NR_kill, command, info.number);
  }
}

// Tells the host how the setting up of the command ended, once its end of the pair is closed.
void tell_started(struct pollfd* notice) {
  if (notice->fd < 0) return;
  (void)sys(__NR_close, notice->fd);
  notice->fd = -1;
  if (shared->failed) {
    (void)send_frame(shared->failure, -1);
  } else {
    tell(kFrameStarted, 0);
    if (keeps_log()) hang_up();  // from now on the command is nobody's
  }
  (void)sys(__NR_munmap, shared, kPage);
}

__attribute__((noinline)) void give_back(uintptr_t begin, uintptr_t end) { (void)sys(__NR_madvise, begin, end - begin, MADV_DONTNEED); }

// Gives back the memory that only setting the container up took: there may be thousands of us, and each waits for long. It
// makes no difference to what we do, so nobody asks whether it worked. Not inlined: the stack that is in use is above its frame.
__attribute__((noinline)) void let_go() {
  // Code that is wanted after all comes back. Two mappings that differ keep the kernel from mapping its neighbours as well.
  auto image = reinterpret_cast<uintptr_t>(__ehdr_start), needed = reinterpret_cast<uintptr_t>(stays) & ~(kPage - 1);
  (void)sys(__NR_madvise, image, needed - image, MADV_RANDOM);
  give_back(image, needed);
  give_back(reinterpret_cast<uintptr_t>(goes), reinterpret_cast<uintptr_t>(_end));
  // The stack was deeper once. Where pages are larger than ours the kernel refuses what begins in the middle of one.
  uintptr_t below = (reinterpret_cast<uintptr_t>(__builtin_frame_address(0)) - kFrameMax) & ~(kPage - 1);
  give_back(below - kStackMax, below);
}

[[noreturn]] void reap(int command, int notice, int signals) {
  let_go();
  // Of the channel only its end is for us: the command may wait there to be let go.
  struct pollfd watched[5] = {{channel_fd(), 0, 0}, {signals, POLLIN, 0}, {notice, POLLIN, 0},
                              {log_pipe(0), POLLIN, 0},  {log_pipe(1), POLLIN, 0}};
  const uint64_t at_once[2] = {0, 0};
  Collected last = kNone;
  for (;;) {
    long n = sys(__NR_ppoll, watched, 5, last == kMore ? at_once : nullptr, nullptr, 0);
    if (n < 0 && n != -EINTR) leave(125);
    // The host has closed its end, or is dead.
    if (watched[0].revents) {
      (void)sys(__NR_kill, command, kSigkill);  // the kernel does, unless we are not process 1
      leave(137);
    }
    if (watched[2].revents) tell_started(&watched[2]);
    watched[0].fd = channel_fd();
    for (int i = 0; i < 2; i++) {
      if (watched[3 + i].revents) read_log(i);
      watched[3 + i].fd = log_pipe(i);
    }
    if (watched[1].revents) forward(signals, command);
    int status;
    last = collect(command, &status);
    if (last == kCommand) {
      tell_started(&watched[2]);  // its end is closed by now: the command is dead
      end(status);
    }
  }
}

// Closes the descriptors from `first` on but these; -1 is none.
long close_except(uint32_t first, const int* kept, uint32_t count) {
  for (;;) {
    uint32_t next = ~0u;
    for (uint32_t i = 0; i < count; i++) {
      int fd = kept[i];
      if (fd >= 0 && static_cast<uint32_t>(fd) >= first && static_cast<uint32_t>(fd) < next) next = static_cast<uint32_t>(fd);
    }
    if (next == ~0u) return sys(__NR_close_range, first, ~0u, 0);
    long r = next == first ? 0 : sys(__NR_close_range, first, next - 1, 0);
    if (r < 0) return r;
    first = next + 1;
  }
}

#if defined(__x86_64__)
constexpr uint32_t kArchitecture = AUDIT_ARCH_X86_64;
#else
constexpr uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
#endif

// Nothing is left to a command with CAP_SYS_PTRACE, which can make us do what it likes, but what a reaper does. It has a
// filter of its own to get out of.
int confine(Where& at) {
  constexpr uint32_t kCalls[] = {__NR_ppoll,  __NR_read,    __NR_wait4,      __NR_kill,
                                 __NR_write,  __NR_close,   __NR_sendmsg,    __NR_exit_group,
                                 __NR_restart_syscall, __NR_madvise, __NR_munmap};
  constexpr uint8_t kCount = sizeof kCalls / sizeof *kCalls;
  sock_filter filter[kCount + 5] = {
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)},
      {BPF_JMP | BPF_JEQ | BPF_K, 0, kCount + 1, kArchitecture},
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
  };
  for (uint8_t i = 0; i < kCount; i++) {
    filter[3 + i] = {BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint8_t>(kCount - i), 0, kCalls[i]};
  }
  filter[3 + kCount] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM};
  filter[4 + kCount] = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
  int r = load_seccomp(at, filter, sizeof filter, 0);
  return r == -ENOSYS || r == -EINVAL ? 0 : r;  // a kernel without filters has none for the command either
}

// A command that gets hold of us gets nothing: no capability but the one to signal other users.
int give_up_rights(Where& at, uint64_t capabilities) {
  int r = no_new_privs(at);
  if (r >= 0) r = drop_bounding(at, capabilities);
  return r < 0 ? r : set_capabilities(at, Capabilities{capabilities, capabilities, 0, 0});
}

struct Pipe {
  int open(Where& at) {
    int ends[2];
    int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
    if (r >= 0) out = Fd(ends[0]), in = Fd(ends[1]);
    return r;
  }
  Fd out, in;
};

int share_page(Where& at) {
  static_assert(sizeof(Shared) <= kPage, "one page");
  long page = sys(__NR_mmap, nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page < 0) return check(at, kStepClone, "a page to share", page);
  shared = reinterpret_cast<Shared*>(page);
  return 0;
}

}  // namespace

int outlive(Where& at, const Outliving& what) {
  // Only who is process 1 takes everything along with it.
  if (sys(__NR_getpid) != 1) return check(at, kStepPipe, "process 1", -EINVAL);
  return keep_log(at, what);
}

int stay_as_reaper(Where& at, uint64_t capabilities, bool traced) {
  // Whoever can trace us could write what it likes into files of the host.
  if (traced && keeps_log()) return check(at, kStepPipe, "CAP_SYS_PTRACE", -EPERM);
  // Before there is anybody who could look into us.
  int r = undumpable(at);
  if (r >= 0) r = share_page(at);
  Pipe notice, confined;
  if (r >= 0) r = notice.open(at);
  if (r >= 0 && traced) r = confined.open(at);
  if (r < 0) return r;
  uint64_t all = ~0ull;
  Fd signals(check(at, kStepSignalfd, sys(__NR_signalfd4, -1, &all, kSetBytes, O_CLOEXEC | O_NONBLOCK)));
  if (!signals.ok()) return signals.get();
  int pidfd = -1;
  int command = fork_process(at, false, &pidfd);
  if (command < 0) return command;
  if (command == 0) {
    exec_notice = notice.in.release();
    confined_notice = confined.out.release();
    return 0;
  }

  // A pipe of the command must end with the command.
  int kept[kKeptMax] = {channel_fd(), notice.out.get(), confined.in.get(), signals.get()};
  (void)close_except(0, kept, 4 + log_descriptors(kept + 4));
  if (give_up_rights(at, capabilities) < 0 || (traced && confine(at) < 0)) leave(125);
  if (traced) (void)sys(__NR_write, confined.in.get(), "", 1);  // a command that is dead needs none
  confined.in.reset();
  reap(command, notice.out.release(), signals.release());
}

int reaper_is_ready(Where& at) {
  if (confined_notice < 0) return 0;
  Fd notice(confined_notice);
  confined_notice = -1;
  char byte;
  return sys(__NR_read, notice.get(), &byte, 1) == 1 ? 0 : check(at, kStepPipe, "process 1", -EPIPE);
}

int close_from(Where& at, uint32_t first) {
  int kept[] = {channel_fd(), exec_notice, confined_notice};
  return check(at, kStepCloseRange, close_except(first, kept, sizeof kept / sizeof *kept));
}

int make_room(Where& at, int end) {
  int r = move_channel(at, end);
  int* const notices[] = {&exec_notice, &confined_notice};
  for (int* notice : notices) {
    if (r < 0 || *notice < 0 || *notice >= end) continue;
    r = check(at, kStepFcntl, sys(__NR_fcntl, *notice, F_DUPFD_CLOEXEC, end));
    if (r < 0) break;
    (void)sys(__NR_close, *notice);
    *notice = r;
  }
  return r < 0 ? r : 0;
}

bool leave_to_reaper(const Frame& failure) {
  if (exec_notice < 0) return false;
  shared->failure = failure;
  shared->failed = true;
  return true;
}

}  // namespace runts
