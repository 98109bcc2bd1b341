// An owned descriptor as an object of JavaScript: closed once, at the latest when it is collected.
#pragma once
#include "state.h"

namespace runts {

class Handle : public Napi::ObjectWrap<Handle> {
 public:
  static Napi::Function define(Napi::Env env);
  // Takes the descriptor over; where JavaScript cannot run any more it stays with the caller, and the result is undefined.
  static Napi::Value make(Napi::Env env, Fd&& fd);
  // A handle that was made here: anything else ends the process.
  static Handle& of(const Napi::Value& value);
  static bool is(const Napi::Value& value);

  explicit Handle(const Napi::CallbackInfo& info);

  int fd() const { return fd_.get(); }
  Fd take() { return static_cast<Fd&&>(fd_); }

 private:
  Napi::Value number(const Napi::CallbackInfo& info);
  Napi::Value release(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);

  Fd fd_;
};

// A new descriptor of an open handle's file, or an invalid one with -errno.
Fd duplicate(int fd);

// A handle of a result that is a descriptor, or a failure.
Napi::Value handle_or_failure(Napi::Env env, const Where& at, int result);

}  // namespace runts
