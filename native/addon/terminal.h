// Our end of a pseudo-terminal, on the event loop. Node's own tty streams write to a master with blocking writes, and a
// container that does not read its terminal would stop the host.
#pragma once
#include "watch.h"

namespace runts {

// new Terminal(handle of a pty master, onBytes(bytes), onEnd(errno), onWritable()). The handle's descriptor moves here.
class Terminal final : public Napi::ObjectWrap<Terminal>, public Watcher {
 public:
  static Napi::Function define(Napi::Env env);
  explicit Terminal(const Napi::CallbackInfo& info);
  ~Terminal();

  void shut() override;

 private:
  // Reading rests until it is asked for: {read(true)}.
  void read(const Napi::CallbackInfo& info);
  // How many bytes were taken, or -errno; fewer than given asks to wait for onWritable.
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value resize(const Napi::CallbackInfo& info);
  Napi::Value size(const Napi::CallbackInfo& info);
  void keep_alive(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  void ready(int status, int events);
  bool receive(Napi::Env env);
  void listen();

  Napi::FunctionReference on_bytes_, on_end_, on_writable_;
  Watch* watch_ = nullptr;
  State& state_;
  bool reading_ = false, writing_ = false;
};

// rawTerminal(fd) -> undefined, or a failure: every byte as it is, in both directions. Node's own raw mode still makes two
// bytes of a line feed on its way out, and that is for the terminal inside to decide.
Napi::Value raw_terminal(const Napi::CallbackInfo& info);

}  // namespace runts
