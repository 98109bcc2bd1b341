#include "handle.h"

#include <fcntl.h>

#include "value.h"

namespace runts {

namespace {
constexpr napi_type_tag kTag = {0x7275'6e74'732d'6861, 0x6e64'6c65'2d66'6431};
}

Napi::Function Handle::define(Napi::Env env) {
  return DefineClass(env, "Handle",
                     {
                         InstanceAccessor<&Handle::number>("fd"),
                         InstanceMethod<&Handle::close>("close"),
                         InstanceMethod<&Handle::release>("release"),
                     });
}

Handle::Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Handle>(info) { Value().TypeTag(&kTag); }

bool Handle::is(const Napi::Value& value) { return value.IsObject() && value.As<Napi::Object>().CheckTypeTag(&kTag); }

Handle& Handle::of(const Napi::Value& value) {
  expect(is(value), "not a handle");
  return *Unwrap(value.As<Napi::Object>());
}

Napi::Value Handle::make(Napi::Env env, Fd&& fd) {
  Napi::Object object = State::of(env).handle_class.New({});
  if (object.IsEmpty()) return env.Undefined();
  Unwrap(object)->fd_ = static_cast<Fd&&>(fd);
  return object;
}

Napi::Value Handle::number(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_.get()); }

Napi::Value Handle::release(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_.release()); }

void Handle::close(const Napi::CallbackInfo&) { fd_.reset(); }

Fd duplicate(int fd) { return Fd(static_cast<int>(sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 3))); }

Napi::Value handle_or_failure(Napi::Env env, const Where& at, int result) {
  return result < 0 ? failure(env, at, result) : Handle::make(env, Fd(result));
}

}  // namespace runts
