// An owned descriptor as an object of JavaScript: closed once, at the latest when it is collected.
#pragma once
#include "rights.h"
#include "state.h"

namespace runts {

class Handle : public Napi::ObjectWrap<Handle> {
 public:
  static Napi::Function define(Napi::Env env);
  // Takes the descriptor over. Null, and the descriptor stays with the caller, where JavaScript cannot run any more.
  static Handle* make(Napi::Env env, Fd&& fd);

  explicit Handle(const Napi::CallbackInfo& info);

  int fd() const { return fd_.get(); }
  Fd take() { return static_cast<Fd&&>(fd_); }

 private:
  Napi::Value number(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  void on_close(const Napi::CallbackInfo& info);

  Fd fd_;
  Napi::FunctionReference closed_;
};

// The descriptor of a handle, or -1: of none, and of every one once the environment is being ended and refuses to look.
int fd_of(const Napi::Value& value);
// Puts those of a list of handles into a message.
void add_rights(struct msghdr& message, Rights& rights, const Napi::Array& handles);
// Moves it out of the handle.
Fd take_from(const Napi::Value& value);

// A handle as a value; undefined where JavaScript cannot run any more.
Napi::Value new_handle(Napi::Env env, Fd fd);

// A new descriptor of an open handle's file, or an invalid one with -errno.
Fd duplicate(int fd);

// A handle of a result that is a descriptor, or a failure.
Napi::Value handle_or_failure(Napi::Env env, const Where& at, int result);

}  // namespace runts
