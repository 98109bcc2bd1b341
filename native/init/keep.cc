// A keeper: a process outside of the containers that undoes what the kernel leaves of them when their owner is killed. What
// is to be undone are programs, which it holds and does not run: until it is told to, or nobody is left to tell it.
#include <linux/signal.h>

#include "../ops/process.h"
#include "../program/link.h"
#include "../program/verify.h"
#include "bare.h"
#include "channel.h"

namespace runts {

namespace {

struct Kept {
  alignas(8) uint8_t program[kProgramKeptBytesMax];
  size_t size;  // 0: nothing is kept here
  int handle;
};
Kept programs[kProgramsKeptMax];

int answer_for(Frame frame, uint32_t number) {
  frame.tag = number;
  return send_frame(frame, -1);
}

Frame refusal(int error, const char* why) {
  return frame_of(Failure{0, 0, error, Where{error == EBADMSG ? kStepVerify : kStepRecvmsg, why}});
}

// Where it is not what it ought to be, or its handle got lost, it is not kept, and the host hears of it.
Frame take(const KeeperOrder& order, const Kept& brought) {
  Kept& place = programs[order.number];
  Verdict verdict = place.size > 0 ? Verdict{"taken", -1} : verify(brought.program, order.size);
  if (verdict.reason) return refusal(EBADMSG, verdict.reason);
  if (reinterpret_cast<const Header*>(brought.program)->inputs != (order.handle < 0 ? 0 : 1)) {
    return refusal(EBADMSG, "handles");
  }
  place = brought;
  place.size = order.size;
  place.handle = order.handle;
  Frame frame = {};
  frame.kind = kFrameSync;
  return frame;
}

// In a child, so that what takes its time or fails does so for itself alone; where there is none to be had, here.
void run_apart(uint32_t number) {
  const Kept& what = programs[number];
  if (what.size == 0) return;
  long pid = sys(__NR_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (pid > 0) return;
  Failure failure;
  Frame frame = {};
  frame.kind = kFrameDone;
  if (!run(what.program, &what.handle, &failure)) frame = frame_of(failure);
  (void)answer_for(frame, number);  // nobody may be left to hear it
  if (pid == 0) leave(0);
}

// Of a host that is gone there may be orders that it has sent before.
int unless_gone(int sent) { return sent == -EPIPE ? 0 : sent; }

void forget(uint32_t number) {
  Kept& what = programs[number];
  if (what.size > 0 && what.handle >= 0) (void)sys(__NR_close, what.handle);
  what.size = 0;
}

}  // namespace

int keep(Where& at) {
  static Kept brought;
  ignore_children(true);  // nobody waits for those that run something
  int r;
  do {
    KeeperOrder order;
    r = receive_order(&order, brought.program, sizeof brought.program);
    if (r == -EMFILE) {
      r = unless_gone(answer_for(refusal(EMFILE, ""), order.number));
    } else if (r >= 0 && order.kind == kMessageKeep) {
      Frame answer = take(order, brought);
      if (answer.kind == kFrameError && order.handle >= 0) (void)sys(__NR_close, order.handle);
      r = unless_gone(answer_for(answer, order.number));
    } else if (r >= 0) {
      if (order.kind == kMessageRun) run_apart(order.number);
      if (order.kind == kMessageForget) forget(order.number);
      if (order.handle >= 0) (void)sys(__NR_close, order.handle);  // none is asked for
    }
  } while (r >= 0);
  bool gone = r == -EPIPE;
  for (uint32_t number = 0; number < kProgramsKeptMax; number++) {
    if (gone) run_apart(number);
    forget(number);
  }
  return gone ? 0 : check(at, kStepRecvmsg, r);
}

}  // namespace runts
