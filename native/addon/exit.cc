#include "exit.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "handle.h"
#include "value.h"

namespace runts {

namespace {

constexpr int kPidfd = 3;  // P_PIDFD, which some headers lack

}  // namespace

long collect(int process, siginfo_t* info, bool looks) {
  memset(info, 0, sizeof *info);
  int options = WEXITED | WNOHANG | __WALL | (looks ? WNOWAIT : 0);
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_waitid, kPidfd, process, info, options, nullptr);
  if (r == -EAGAIN) return 0;  // what a non-blocking pidfd says
  return r < 0 ? r : info->si_pid != 0;
}

void collect_by(int process, uint64_t deadline_ms) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t left = static_cast<int64_t>(deadline_ms) - now.tv_sec * 1000 - now.tv_nsec / 1000000;
  struct pollfd ended = {process, POLLIN, 0};
  siginfo_t info;
  if (poll(&ended, 1, left > 0 ? static_cast<int>(left) : 0) > 0) (void)collect(process, &info);
}

Napi::Function Exit::define(Napi::Env env) {
  return DefineClass(env, "Exit",
                     {InstanceMethod<&Exit::keep_alive>("keepAlive"), InstanceMethod<&Exit::close>("close"),
                      InstanceMethod<&Exit::end_with_us>("endWithUs")});
}

Exit::Exit(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Exit>(info),
      state_(State::of(info.Env())),
      collects_(truth_of(info[1])),
      looks_(!info[3].IsUndefined() && truth_of(info[3])) {
  if (IsEmpty()) return;  // not wrapped: the environment is being ended
  on_exit_ = Napi::Persistent(info[2].As<Napi::Function>());
  watch_ = Watch::open(
      state_, info.Env(), take_from(info[0]),
      [](void* owner, int, int) { static_cast<Exit*>(owner)->ready(); }, this);
  if (!watch_) return;
  state_.watchers.insert(this);
  Ref();
  watch_->listen(UV_READABLE);
}

Exit::~Exit() { shut(); }

void Exit::shut() {
  if (!watch_) return;
  if (state_.ending) {
    // Now, before anybody's last look takes its time. It fails where the process has ended.
    if (ends_with_us_) (void)sys(__NR_pidfd_send_signal, watch_->fd(), SIGKILL, nullptr, 0);
    if (collects_) process_ = duplicate(watch_->fd());
  }
  watch_->close();
  watch_ = nullptr;
  state_.watchers.erase(this);
  on_exit_.Reset();
  Unref();
}

void Exit::last_look(uint64_t deadline_ms) {
  if (!process_.ok()) return;
  collect_by(process_.get(), deadline_ms);
  process_.reset();
}

void Exit::ready() {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  siginfo_t info;
  long r = collects_ || looks_ ? collect(watch_->fd(), &info, looks_) : -ECHILD;
  if (r == 0) return watch_->listen(UV_READABLE);
  Napi::FunctionReference on_exit = std::move(on_exit_);
  shut();
  Napi::Value code = env.Undefined(), signal = env.Undefined();
  if (r > 0) (info.si_code == CLD_EXITED ? code : signal) = Napi::Number::New(env, info.si_status);
  call_back(env, on_exit, {code, signal});
}

void Exit::keep_alive(const Napi::CallbackInfo& info) {
  if (watch_) watch_->keep_alive(truth_of(info[0]));
}

void Exit::close(const Napi::CallbackInfo&) { shut(); }

void Exit::end_with_us(const Napi::CallbackInfo& info) { ends_with_us_ = truth_of(info[0]); }

}  // namespace runts
