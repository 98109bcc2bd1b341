#include "hook.h"

#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <string.h>

#include "namespaces.h"
#include "process.h"

namespace runts {

namespace {

enum { kSigkill = 9, kSigsys = 31, kTailBytes = 200, kChunkBytes = 4096, kOrphansMax = 1 << 16 };

// A detail of an error, as much of it as a frame has room for.
class Detail {
 public:
  void begin() { length_ = 0; }
  Detail& text(const char* text) { return text_of(text, strlen(text)); }
  Detail& text_of(const char* text, size_t size) {
    for (size_t i = 0; i < size && length_ + 1 < sizeof text_; i++) text_[length_++] = text[i];
    text_[length_] = 0;
    return *this;
  }
  Detail& number(uint32_t value) {
    char digits[10];
    size_t at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while (value /= 10);
    return text_of(digits + at, sizeof digits - at);
  }
  const char* get() const { return text_; }

 private:
  char text_[280] = {};
  size_t length_ = 0;
};
Detail detail;

// The last of an output of any length.
class Tail {
 public:
  // Reads once; false at the end, and where there is nothing at present.
  bool read_from(int fd) {
    if (length_ > kTailBytes) {
      for (size_t i = 0; i < kTailBytes; i++) bytes_[i] = bytes_[length_ - kTailBytes + i];
      length_ = kTailBytes;
      whole_ = false;
    }
    long n = sys(__NR_read, fd, bytes_ + length_, sizeof bytes_ - length_);
    if (n > 0) length_ += static_cast<size_t>(n);
    return n > 0 || n == -EINTR;
  }

  // As one line, since it becomes part of one; nothing in it is to move a cursor.
  void add_to(Detail& to) {
    size_t from = length_ > kTailBytes ? length_ - kTailBytes : 0;
    // The middle of a character of UTF-8 is no beginning.
    while ((from > 0 || !whole_) && from < length_ && (bytes_[from] & 0xc0) == 0x80) from++;
    for (size_t i = from; i < length_; i++) {
      if (static_cast<uint8_t>(bytes_[i]) < ' ' || bytes_[i] == 0x7f) bytes_[i] = ' ';
    }
    while (from < length_ && bytes_[from] == ' ') from++;
    while (length_ > from && bytes_[length_ - 1] == ' ') length_--;
    if (length_ > from) to.text(": ").text_of(bytes_ + from, length_ - from);
  }

 private:
  char bytes_[kTailBytes + kChunkBytes];
  size_t length_ = 0;
  bool whole_ = true;
};

int64_t now_ms() {
  struct {
    int64_t s, ns;
  } time = {};
  (void)sys(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
  return time.s * 1000 + time.ns / 1000000;
}

// Waits until one of two is readable, and not after `deadline_ms` (0: for ever).
void wait_for(struct pollfd (&watched)[2], int64_t deadline_ms) {
  struct {
    int64_t s, ns;
  } rest = {0, 0};
  if (deadline_ms) {
    int64_t ms = deadline_ms - now_ms();
    if (ms < 0) ms = 0;
    rest = {ms / 1000, ms % 1000 * 1000000};
  }
  watched[0].revents = watched[1].revents = 0;
  (void)sys(__NR_ppoll, watched, 2, deadline_ms ? &rest : nullptr, nullptr, 0);  // EINTR: there is nothing to read then
}

[[noreturn]] void become(const Hook& hook, int output, int notice) {
  constexpr int kNotice = 3;
  long r = sys(__NR_setsid);
  if (r >= 0) r = sys(__NR_dup3, hook.input, 0, 0);
  if (r >= 0) r = sys(__NR_dup3, output, 1, 0);
  if (r >= 0) r = sys(__NR_dup3, output, 2, 0);
  if (r >= 0 && notice != kNotice) r = sys(__NR_dup3, notice, kNotice, O_CLOEXEC);
  if (r >= 0) r = sys(__NR_close_range, kNotice + 1, ~0u, 0);
  if (r >= 0) {
    (void)sys(__NR_umask, 022);  // ours is 0, for the modes in programs
    unblock_signals();
    r = sys(__NR_execve, hook.path, hook.argv, hook.env);
    notice = kNotice;
  }
  int error = static_cast<int>(-r);
  (void)sys(__NR_write, notice, &error, sizeof error);  // without it the exit code tells
  (void)sys(__NR_exit_group, 127);
  for (;;) __builtin_trap();
}

struct Running {
  int pid;
  Fd process, output, notice;
};

int start(Where& at, const Hook& hook, Running* running) {
  int output[2], notice[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, output, O_CLOEXEC));
  if (r < 0) return r;
  running->output = Fd(output[0]);
  Fd say(output[1]);
  r = check(at, kStepPipe, sys(__NR_pipe2, notice, O_CLOEXEC));
  if (r < 0) return r;
  running->notice = Fd(notice[0]);
  Fd fail(notice[1]);
  // Ours only: the hook's end stays one that blocks.
  (void)sys(__NR_fcntl, running->output.get(), F_SETFL, O_NONBLOCK);
  int pidfd = -1;
  running->pid = fork_process(at, false, &pidfd);
  if (running->pid == 0) become(hook, say.get(), fail.get());
  running->process = Fd(pidfd);
  return running->pid < 0 ? running->pid : 0;
}

// Whether the hook itself has ended in time. A process that it left behind may hold its output open: that is no reason to
// wait.
bool ends(const Running& running, Tail& said, uint32_t timeout_ms) {
  int64_t deadline = timeout_ms ? now_ms() + timeout_ms : 0;
  struct pollfd watched[2] = {{running.process.get(), POLLIN, 0}, {running.output.get(), POLLIN, 0}};
  for (;;) {
    wait_for(watched, deadline);
    if (watched[0].revents) break;
    if (deadline && now_ms() >= deadline) return false;
    if (watched[1].revents && !said.read_from(watched[1].fd) && watched[1].revents & POLLHUP) watched[1].fd = -1;
  }
  for (int chunks = 0; chunks < 32 && said.read_from(running.output.get()); chunks++) {
  }
  return true;
}

// The hook, and what is still in its process group, which is its session unless it has made others.
void kill_all(const Running& running) {
  constexpr long kPidfdSendSignal = 424;
  (void)sys(__NR_kill, -running.pid, kSigkill);
  (void)sys(kPidfdSendSignal, running.process.get(), kSigkill, nullptr, 0);  // it may not have had a session yet
  struct pollfd watched[2] = {{running.process.get(), POLLIN, 0}, {-1, 0, 0}};
  wait_for(watched, now_ms() + 1000);  // one that the kernel does not let go of is left to it
}

// What hooks orphan ends up with process 1, which may be us. Those that still run are the command's children then.
void collect_orphans() {
  for (int i = 0; i < kOrphansMax && sys(__NR_wait4, -1, nullptr, WNOHANG, nullptr) > 0; i++) {
  }
}

int verdict(Where& at, const Hook& hook, const Running& running, Tail& said, int status) {
  int error = 0;
  if (sys(__NR_read, running.notice.get(), &error, sizeof error) == sizeof error && error > 0) {
    return check(at, kStepExecve, hook.path, -error);
  }
  if (status == 0) return 0;
  detail.begin();
  int signal = status & 0x7f;
  if (signal == kSigsys) detail.text("bad system call (seccomp)");
  else if (signal) detail.text("signal ").number(static_cast<uint32_t>(signal));
  else detail.text("exit status ").number(static_cast<uint32_t>(status) >> 8 & 0xff);
  said.add_to(detail);
  return check(at, kStepHook, detail.get(), -ECANCELED);
}

}  // namespace

int run_to_its_end(Where& at, const Hook& hook) {
  at.detail = hook.path;
  long r = sys(__NR_lseek, hook.input, 0, 0);
  if (r < 0 && r != -ESPIPE) return check(at, kStepHook, r);
  Running running;
  int started = start(at, hook, &running);
  if (started < 0) return started;
  Tail said;
  bool ended = ends(running, said, hook.timeout_ms);
  if (!ended) kill_all(running);
  int status = 0;
  do r = sys(__NR_wait4, running.pid, &status, WNOHANG, nullptr);
  while (r == -EINTR);
  collect_orphans();
  if (ended) return verdict(at, hook, running, said, status);
  detail.begin();
  detail.text("killed after ").number(hook.timeout_ms).text(" ms");
  said.add_to(detail);
  return check(at, kStepHook, detail.get(), -ETIMEDOUT);
}

}  // namespace runts
