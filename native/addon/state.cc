#include "state.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "watch.h"

namespace runts {

namespace {

enum { kLastLookMs = 500 };

// A worker ends while the process lives on: an init that dies of its closed channel would stay a zombie of ours, so it
// is given a moment. Not on the main thread, where the kernel collects everything in an instant.
uint64_t last_look_deadline() {
  if (syscall(SYS_gettid) == getpid()) return 0;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000 + kLastLookMs;
}

void end_environment(napi_async_cleanup_hook_handle hook, void* data) {
  auto* state = static_cast<State*>(data);
  state->ending = hook;
  auto watchers = std::move(state->watchers);
  state->watchers.clear();
  for (Watcher* watcher : watchers) watcher->shut();
  if (uint64_t deadline = last_look_deadline()) {
    for (Watcher* watcher : watchers) watcher->last_look(deadline);
  }
  state->settle();
}

}  // namespace

State::State(Napi::Env env) : buffer(kMessageBytesMax + 2 * sizeof(MessageHeader)) {
  napi_get_uv_event_loop(env, &loop);
  // Asynchronous, because libuv gives a handle back only on a later turn of its loop. The hook keeps the environment,
  // and with it this object, until it is removed.
  napi_add_async_cleanup_hook(env, end_environment, this, nullptr);
}

void State::settle() {
  if (ending == nullptr || closing > 0) return;
  napi_async_cleanup_hook_handle hook = ending;
  ending = nullptr;
  napi_remove_async_cleanup_hook(hook);
}

}  // namespace runts
