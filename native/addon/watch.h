// A descriptor on the event loop.
#pragma once
#include "state.h"

namespace runts {

// Owns its descriptor. libuv may hold the handle longer than whoever asked for it, so a watch is closed, never deleted.
class Watch {
 public:
  using Callback = void (*)(void* owner, int status, int events);

  // For constructors: null after having thrown, when the limit on watches or the memory is used up. The watch does
  // nothing until `listen`.
  static Watch* open(State& state, Napi::Env env, Fd fd, Callback callback, void* owner);

  int fd() const { return fd_.get(); }
  // UV_READABLE, UV_WRITABLE; 0 rests.
  void listen(int events);
  // libuv has stopped the handle by itself (it does at EPOLLERR): the next `listen` starts it again.
  void stopped() { events_ = 0; }
  void keep_alive(bool alive);
  void close();

 private:
  Watch(State& state, Fd fd, Callback callback, void* owner)
      : state_(state), fd_(static_cast<Fd&&>(fd)), callback_(callback), owner_(owner) {}

  State& state_;
  Fd fd_;
  Callback callback_;
  void* owner_;
  int events_ = 0;
  uv_poll_t poll_;
};

// Calls a function of JavaScript from the loop, with microtasks after it; what it throws is an uncaught exception.
void call_back(Napi::Env env, const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments);

}  // namespace runts
