// The init: receives a program on descriptor 3, verifies it, and runs it until exec, halt or an error; or until the next one is to come.
#include <linux/fcntl.h>
#include <linux/prctl.h>

#include "../ops/process.h"
#include "../program/commands.h"
#include "../program/link.h"
#include "../program/operands.h"
#include "../program/run.h"
#include "../program/verify.h"
#include "bare.h"
#include "channel.h"
#include "reap.h"

namespace runts {

namespace {

enum { kFailed = 125 };  // as docker run says it: the runtime failed, not the command
constexpr uint32_t kNoOp = ~0u;  // before there is a program

[[noreturn]] void fail(const Failure& failure) {
  Frame frame = frame_of(failure);
  if (!leave_to_reaper(frame)) (void)send_frame(frame, -1);  // the host may be gone, and then nobody asks
  leave(kFailed);
}

[[noreturn]] void refuse(const Verdict& verdict) {
  auto op = static_cast<uint32_t>(verdict.op < 0 ? 0 : verdict.op);
  fail(Failure{op, 0, EBADMSG, Where{kStepVerify, verdict.reason}});
}

// Returns with the op that has ended it: halt, or next_program.
const Op& run_next() {
  Received received;
  if (!receive_program(&received)) leave(kFailed);
  Verdict verdict = verify(received.program, received.size);
  if (verdict.reason) refuse(verdict);
  auto* header = reinterpret_cast<const Header*>(received.program);
  if (header->inputs != received.handle_count) refuse({"handles", -1});

  Failure failure;
  if (!run(received.program, received.handles, &failure)) fail(failure);
  return reinterpret_cast<const Op*>(header + 1)[header->ops - 1];
}

}  // namespace

void serve() {
  // Nothing is inherited but 0-2, which are the null device, and the channel.
  long closed = sys(__NR_close_range, kFirstChannel + 1, ~0u, 0);
  if (closed < 0) fail(Failure{kNoOp, 0, static_cast<int>(-closed), Where{kStepCloseRange, ""}});
  (void)sys(__NR_fcntl, kFirstChannel, F_SETFD, FD_CLOEXEC);
  (void)sys(__NR_umask, 0);  // modes in programs are exact
  (void)sys(__NR_prctl, PR_SET_NAME, "runts-init");  // and not that of a memory file
  block_signals();

  for (;;) {
    const Op& last = run_next();
    bool halts = last.code == kOpHalt;
    auto tag = static_cast<uint32_t>(last.arg[slots_next_program::tag_]);
    (void)send_frame(halts ? frame_of(kFrameDone, 0, 0) : frame_of(kFrameSync, tag, 0), -1);
    if (halts) leave(0);
  }
}

}  // namespace runts

extern "C" void init_main() {
  runts::reset_signals();  // and of all that will be copies of us
  runts::serve();
}
