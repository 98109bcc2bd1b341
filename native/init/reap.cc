// Process 1 of a container with `init: true`. It forwards signals to the command, collects what the command orphans,
// tells the host how the command ended, and ends everything when the host is gone: the kernel kills a pid namespace with
// its process 1 (pid_namespaces(7)).
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signal.h>
#include <linux/wait.h>

#include "../ops/identity.h"
#include "../ops/namespaces.h"
#include "../program/link.h"
#include "bare.h"
#include "channel.h"

namespace runts {

namespace {

enum { kSigchld = 17, kSetBytes = 8 };

// The command's end of a pipe that closes at its exec. A byte in it says that the exec failed.
int exec_notice = -1;

void tell(FrameKind kind, uint64_t value) {
  Frame frame = {};
  frame.kind = kind;
  frame.value = value;
  (void)send_frame(frame, -1);  // a host that is gone is seen by poll
}

// Collects every zombie. True when the command was among them.
bool collect(int command, int* status) {
  for (;;) {
    int ended = 0;
    long pid = sys(__NR_wait4, -1, &ended, WNOHANG, nullptr);
    if (pid <= 0) return false;
    if (pid == command) {
      *status = ended;
      return true;
    }
  }
}

[[noreturn]] void end(int status) {
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

// Tells the host that the command was exec'd, once the command's end of the pipe is closed without a word.
void tell_started(struct pollfd* notice) {
  char byte;
  if (notice->fd >= 0 && sys(__NR_read, notice->fd, &byte, 1) == 0) tell(kFrameStarted, 0);
  notice->fd = -1;
}

[[noreturn]] void reap(int command, int notice, int signals) {
  struct pollfd watched[3] = {{kChannel, POLLIN, 0}, {signals, POLLIN, 0}, {notice, POLLIN, 0}};
  for (;;) {
    long n = sys(__NR_ppoll, watched, 3, nullptr, nullptr, 0);
    if (n < 0 && n != -EINTR) leave(125);
    // Nothing is to be said to us any more: readable means that the host has closed its end.
    if (watched[0].revents) leave(137);
    if (watched[2].revents) tell_started(&watched[2]);
    if (watched[1].revents) forward(signals, command);
    int status;
    if (collect(command, &status)) {
      tell_started(&watched[2]);  // the pipe is closed by now: the command is dead
      end(status);
    }
  }
}

// Closes every descriptor but the channel and two others: a pipe of the command must end with the command.
void close_all_but(int one, int other) {
  auto low = static_cast<uint32_t>(one < other ? one : other), high = static_cast<uint32_t>(one < other ? other : one);
  const uint32_t ranges[4][2] = {{0, kChannel - 1}, {kChannel + 1, low - 1}, {low + 1, high - 1}, {high + 1, ~0u}};
  for (auto& range : ranges) {
    if (range[0] <= range[1]) (void)sys(__NR_close_range, range[0], range[1], 0);
  }
}

}  // namespace

int stay_as_reaper(Where& at, uint64_t capabilities) {
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  if (r < 0) return r;
  Fd notice(ends[0]), exec_end(ends[1]);
  uint64_t all = ~0ull;
  Fd signals(check(at, kStepSignalfd, sys(__NR_signalfd4, -1, &all, kSetBytes, O_CLOEXEC | O_NONBLOCK)));
  if (!signals.ok()) return signals.get();
  int pidfd = -1;
  int command = fork_process(at, false, &pidfd);
  if (command < 0) return command;
  if (command == 0) {
    exec_notice = exec_end.release();
    return 0;
  }

  exec_end.release();
  close_all_but(notice.get(), signals.get());
  // A command that gets hold of us gets nothing: no ptrace, and no capability but the one to signal other users.
  r = undumpable(at);
  if (r >= 0) r = no_new_privs(at);
  if (r >= 0) r = drop_bounding(at, capabilities);
  if (r >= 0) r = set_capabilities(at, Capabilities{capabilities, capabilities, 0, 0});
  if (r < 0) leave(125);
  reap(command, notice.release(), signals.release());
}

void note_failure() {
  if (exec_notice >= 0) (void)sys(__NR_write, exec_notice, "", 1);
}

}  // namespace runts
