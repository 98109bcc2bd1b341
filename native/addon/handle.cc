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
                         InstanceMethod<&Handle::on_close>("onClose"),
                     });
}

Handle::Handle(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Handle>(info) {
  // Fails only in an environment that is being ended; then nobody will ask for the tag.
  (void)napi_type_tag_object(info.Env(), info.This(), &kTag);
}

Handle* Handle::make(Napi::Env env, Fd&& fd) {
  Napi::Object object = State::of(env).handle_class.New({});
  Handle* handle = object.IsEmpty() ? nullptr : Unwrap(object);
  if (handle) handle->fd_ = static_cast<Fd&&>(fd);
  return handle;
}

Napi::Value Handle::number(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_.get()); }

Napi::Value Handle::release(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), fd_.release()); }

void Handle::close(const Napi::CallbackInfo& info) {
  fd_.reset();
  if (closed_.IsEmpty()) return;
  Napi::FunctionReference closed = std::move(closed_);
  (void)closed.Call({});
}

void Handle::on_close(const Napi::CallbackInfo& info) {
  if (info[0].IsFunction()) closed_ = Napi::Persistent(info[0].As<Napi::Function>());
  else closed_.Reset();
}

namespace {

// An environment that is being ended refuses most questions: then there is no handle, and a system call says EBADF.
Handle* find(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  auto object = value.As<Napi::Object>();
  return object.CheckTypeTag(&kTag) ? Handle::Unwrap(object) : nullptr;
}

}  // namespace

int fd_of(const Napi::Value& value) {
  Handle* handle = find(value);
  return handle ? handle->fd() : -1;
}

void add_rights(struct msghdr& message, Rights& rights, const Napi::Array& handles) {
  expect(handles.Length() <= kHandlesMax, "too many handles");
  add_rights(message, rights, handles.Length(), [&](uint32_t i) { return fd_of(handles.Get(i)); });
}

Fd take_from(const Napi::Value& value) {
  Handle* handle = find(value);
  return handle ? handle->take() : Fd();
}

Napi::Value new_handle(Napi::Env env, Fd fd) {
  Handle* handle = Handle::make(env, static_cast<Fd&&>(fd));
  return handle ? handle->Value() : env.Undefined();
}

Fd duplicate(int fd) { return Fd(static_cast<int>(sys(__NR_fcntl, fd, F_DUPFD_CLOEXEC, 3))); }

Napi::Value handle_or_failure(Napi::Env env, const Where& at, int result) {
  return result < 0 ? failure(env, at, result) : new_handle(env, Fd(result));
}

}  // namespace runts
