#include "commands.h"

#include <linux/fcntl.h>

#include "../ops/hook.h"
#include "../ops/namespaces.h"
#include "../ops/process.h"
#include "link.h"

namespace runts {

namespace {

enum { kArgumentsMax = 1u << 18 };  // pointers: as many as 2 MiB of shortest strings need, argv and env together

const char* pointers[kArgumentsMax];

// What execve(2) wants of two lists; there is room for one pair at a time.
struct Arguments {
  const char** argv = pointers;
  const char** env = nullptr;

  bool take(const Operands& o, int argv_slot, int env_slot) {
    uint64_t argc = o.count(argv_slot), envc = o.count(env_slot);
    if (argc + envc + 2 > kArgumentsMax) return false;
    env = argv + argc + 1;
    for (uint32_t i = 0; i < argc; i++) argv[i] = o.text_at(argv_slot, i);
    for (uint32_t i = 0; i < envc; i++) env[i] = o.text_at(env_slot, i);
    argv[argc] = nullptr;
    env[envc] = nullptr;
    return true;
  }
};

}  // namespace

Frame frame_of(FrameKind kind, uint32_t tag, uint64_t value) {
  Frame frame = {};
  frame.kind = kind;
  frame.tag = tag;
  frame.value = value;
  return frame;
}

int run_fork(Where& at) {
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  if (r < 0) return r;
  Fd hear(ends[0]), say(ends[1]);
  int pidfd = -1;
  int pid = fork_process(at, true, &pidfd);
  if (pid < 0) return pid;
  if (pid == 0) {
    // The host is to know of us before it hears from us, or we are on our own: a word when it does.
    say.reset();
    char word;
    return check(at, kStepPipe, sys(__NR_read, hear.get(), &word, 1) == 1 ? 0 : -EPIPE);
  }
  // Our child is the host's child now, and all that is left for us to do is to say so.
  int sent = send_frame(frame_of(kFrameForked, 0, static_cast<uint64_t>(pid)), pidfd);
  if (sent >= 0) (void)sys(__NR_write, say.get(), "", 1);  // a child that was killed meanwhile needs no word
  sys(__NR_exit_group, sent < 0 ? 125 : 0);
  __builtin_unreachable();
}

namespace {

// Whether what follows leaves CAP_SYS_PTRACE to the command.
bool keeps_ptrace(const Op* op) {
  constexpr uint64_t kPtrace = 1u << 19;
  for (; !kOps[op->code].end; op++) {
    if (op->code != kOpBounding || op->on_error != kOnErrorFail) continue;
    if (!(op->arg[slots_bounding::capabilities_] & kPtrace)) return false;
  }
  return true;
}

}  // namespace

int run_reap(Where& at, const Op* op) {
  return stay_as_reaper(at, op->arg[slots_reap::capabilities_], keeps_ptrace(op));
}

int run_outlive(Where& at, const Operands& o) {
  using s = slots_outlive;
  int segments[kSegmentsMax];
  uint32_t count = o.count(s::segments_);
  if (count == 0 || count > kSegmentsMax) return -EINVAL;
  for (uint32_t i = 0; i < count; i++) segments[i] = o.fd_at(s::segments_, i);
  return outlive(at, Outliving{o.fd(s::stdout_), o.fd(s::stderr_), o.fd(s::exit_), segments, count,
                               o.number(s::bytes_max_)});
}

int run_hook(Where& at, const Operands& o) {
  using s = slots_hook;
  Arguments with;
  if (!with.take(o, s::argv_, s::env_)) return check(at, kStepExecve, -E2BIG);
  return run_to_its_end(at, Hook{o.text(s::path_), with.argv, with.env, o.fd(s::stdin_), o.small(s::timeout_)});
}

int run_descriptors(Where& at, const Operands& o) {
  using s = slots_descriptors;
  uint32_t count = o.count(s::descriptors_);
  int end = 3 + static_cast<int>(count);
  int r = make_room(at, end);
  for (int& fd : registers) {
    if (r < 0 || fd < 3 || fd >= end) continue;
    r = check(at, kStepFcntl, sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, end));
    if (r < 0) break;
    (void)sys(__NR_close, fd);
    fd = r;
  }
  for (uint32_t i = 0; i < count && r >= 0; i++) {
    r = check(at, kStepDup3, sys(__NR_dup3, o.fd_at(s::descriptors_, i), 3 + i, 0));
  }
  return r < 0 ? r : 0;
}

int run_keep_only(Where& at, const Operands& o) {
  using s = slots_keep_only;
  bool kept[kRegistersMax] = {};
  for (uint32_t i = 0; i < o.count(s::registers_); i++) kept[o.item(s::registers_, i)] = true;
  for (uint32_t r = 0; r < kRegistersMax; r++) {
    if (kept[r] || registers[r] < 0) continue;
    int closed = check(at, kStepCloseRange, sys(__NR_close, registers[r]));
    registers[r] = -1;
    // One that close or close_from has closed already is stale.
    if (closed < 0 && closed != -EBADF) return closed;
  }
  return 0;
}

// The first candidate that exists decides, but for one that is there and cannot be executed: another may still do, as
// execvp(3) has it.
int run_find(Where& at, const Operands& o) {
  using s = slots_find;
  int result = -ENOENT;
  for (uint32_t i = 0; i < o.count(s::files_); i++) {
    int r = executable(at, o.text_at(s::files_, i));
    if (r >= 0) return r;
    if (r == -EACCES) result = r;
    if (r != -ENOENT && r != -EACCES) return r;
  }
  at.detail = o.count(s::files_) ? o.text_at(s::files_, 0) : "";
  return check(at, kStepFaccessat, result);
}

int run_exec(Where& at, const Operands& o) {
  using s = slots_exec;
  at.detail = o.count(s::files_) ? o.text_at(s::files_, 0) : "";
  int ready = reaper_is_ready(at);
  if (ready < 0) return ready;
  Arguments with;
  if (!with.take(o, s::argv_, s::env_)) return check(at, kStepExecve, -E2BIG);
  unblock_signals();
  int result = -ENOENT;
  for (uint32_t i = 0; i < o.count(s::files_); i++) {
    int r = static_cast<int>(sys(__NR_execve, o.text_at(s::files_, i), with.argv, with.env));
    if (r == -EACCES || (r == -ENOENT && result != -EACCES)) result = r;
    if (r != -ENOENT && r != -ENOTDIR && r != -EACCES) return check(at, kStepExecve, o.text_at(s::files_, i), r);
  }
  return check(at, kStepExecve, result);
}

}  // namespace runts
