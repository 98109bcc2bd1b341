// Messages with descriptors, to and from one init, on the event loop.
#pragma once
#include <vector>

#include "watch.h"

namespace runts {

// new Channel(handle, onMessage(bytes, handles), onEnd(errno), onWritable()). The handle's descriptor moves here. The
// object stays alive while its channel is open, for the loop may call it.
class Channel final : public Napi::ObjectWrap<Channel>, public Watcher {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Channel(const Napi::CallbackInfo& info);
  ~Channel();
  // Its descriptor, or -1: of one that is closed, and of every one once the environment is being ended.
  static int fd_of(const Napi::Value& value);

  void shut() override;
  void last_look(uint64_t deadline_ms) override;

 private:
  // 0, or an errno: EAGAIN asks to wait for onWritable.
  Napi::Value send(const Napi::CallbackInfo& info);
  void pause(const Napi::CallbackInfo& info);
  void resume(const Napi::CallbackInfo& info);
  void await_writable(const Napi::CallbackInfo& info);
  void keep_alive(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void ready(int status, int events);
  bool receive(Napi::Env env);
  void end(Napi::Env env, int error);
  void listen();

  Napi::FunctionReference on_message_, on_end_, on_writable_;
  // Of an environment that ends: those that the init has told of (FORKED), and that nobody has heard of.
  std::vector<Fd> untold_;
  Watch* watch_ = nullptr;
  State& state_;
  bool reading_ = true, writing_ = false;
};

}  // namespace runts
