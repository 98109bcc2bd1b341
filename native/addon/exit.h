// How a process ends, known on the event loop.
#pragma once
#include <signal.h>

#include "watch.h"

namespace runts {

// How a process ended: 1, 0 when it has not, -ECHILD when it is not our child. It is collected unless it is only looked at.
long collect(int process, siginfo_t* info, bool looks = false);
// Collects it where it ends by then: milliseconds of CLOCK_MONOTONIC.
void collect_by(int process, uint64_t deadline_ms);

// new Exit(handle of a pidfd, collects, onExit(code, signal), looks = false). The handle's descriptor moves here. Of a
// process that is not our child only the end is known: both are undefined. One that is for somebody else to collect can be
// looked at.
class Exit final : public Napi::ObjectWrap<Exit>, public Watcher {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Exit(const Napi::CallbackInfo& info);
  ~Exit();

  void shut() override;
  void last_look(uint64_t deadline_ms) override;

 private:
  void keep_alive(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void end_with_us(const Napi::CallbackInfo& info);
  void ready();

  Napi::FunctionReference on_exit_;
  Watch* watch_ = nullptr;
  State& state_;
  bool ends_with_us_ = false, collects_, looks_;
  Fd process_;  // for the last look, when the watch is gone
};

}  // namespace runts
