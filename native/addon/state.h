// What one environment (the main thread, or a worker) of the addon owns. There are no globals: a worker's end takes its
// state, its watches and its descriptors with it.
#pragma once
#include <napi.h>
#include <uv.h>

#include <unordered_set>
#include <vector>

#include "../ops/result.h"
#include "../program/format.h"

namespace runts {

// Something that has a watch on the event loop, and must let go of it before the loop ends.
class Watcher {
 public:
  // Closes the watch and whatever the other end must see closed. Twice is fine.
  virtual void shut() = 0;
  // Called once at the end of the environment, after every `shut` of the others: deadline in milliseconds of uv_now's
  // clock (CLOCK_MONOTONIC).
  virtual void last_look(uint64_t deadline_ms) { (void)deadline_ms; }

 protected:
  ~Watcher() = default;
};

struct State {
  explicit State(Napi::Env env);

  static State& of(Napi::Env env) { return *env.GetInstanceData<State>(); }

  uv_loop_t* loop = nullptr;
  Napi::FunctionReference handle_class;
  // The init's bytes as a file that can be executed; made at the first spawn.
  Fd image;
  // Shared by everything that receives on this thread: what arrives is copied out at once.
  std::vector<uint8_t> buffer;
  std::unordered_set<Watcher*> watchers;
  // uv handles that libuv still holds. The environment waits for them before its loop ends.
  uint32_t closing = 0;
  napi_async_cleanup_hook_handle ending = nullptr;

  // Lets the environment end, once it wants to and nothing is left on its loop.
  void settle();
};

}  // namespace runts
