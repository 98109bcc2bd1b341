#include "watch.h"

namespace runts {

Watch* Watch::open(State& state, Napi::Env env, Fd fd, Callback callback, void* owner) {
  auto* watch = new Watch(state, static_cast<Fd&&>(fd), callback, owner);
  int r = uv_poll_init(state.loop, &watch->poll_, watch->fd());
  if (r < 0) {  // libuv has not kept the handle
    delete watch;
    Napi::Error error = Napi::Error::New(env, std::string("cannot watch a descriptor: ") + uv_strerror(r));
    error.Set("code", Napi::String::New(env, uv_err_name(r)));
    error.ThrowAsJavaScriptException();
    return nullptr;
  }
  watch->poll_.data = watch;
  return watch;
}

void Watch::listen(int events) {
  if (events == events_) return;
  events_ = events;
  if (events == 0) {
    uv_poll_stop(&poll_);
    return;
  }
  uv_poll_start(&poll_, events, [](uv_poll_t* poll, int status, int ready) {
    auto* watch = static_cast<Watch*>(poll->data);
    if (status < 0) watch->stopped();
    watch->callback_(watch->owner_, status, ready);
  });
}

void Watch::keep_alive(bool alive) {
  auto* handle = reinterpret_cast<uv_handle_t*>(&poll_);
  if (alive) uv_ref(handle);
  else uv_unref(handle);
}

void Watch::close() {
  state_.closing++;
  uv_close(reinterpret_cast<uv_handle_t*>(&poll_), [](uv_handle_t* handle) {
    auto* watch = static_cast<Watch*>(handle->data);
    State& state = watch->state_;
    delete watch;
    state.closing--;
    state.settle();
  });
  // uv_close has taken it off the loop; the other end is to see it closed now, not a turn later.
  fd_.reset();
}

void call_back(Napi::Env env, const Napi::FunctionReference& function, std::initializer_list<napi_value> arguments) {
  napi_value receiver;
  if (napi_get_global(env, &receiver) != napi_ok) return;
  // Fails only when the function threw, or when a worker is being ended and nothing may run any more.
  (void)napi_make_callback(env, nullptr, receiver, function.Value(), arguments.size(), arguments.begin(), nullptr);
  bool pending = false;
  napi_value error;
  if (napi_is_exception_pending(env, &pending) != napi_ok || !pending) return;
  if (napi_get_and_clear_last_exception(env, &error) == napi_ok) (void)napi_fatal_exception(env, error);
}

}  // namespace runts
