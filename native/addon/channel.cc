#include "channel.h"

#include <errno.h>
#include <signal.h>

#include "exit.h"
#include "handle.h"
#include "hear.h"
#include "received.h"
#include "value.h"

namespace runts {

namespace {

// One turn of the loop must not belong to one peer that floods us.
constexpr int kMessagesPerTurn = 16;
constexpr napi_type_tag kTag = {0x7275'6e74'732d'6368, 0x616e'6e65'6c2d'6d73};

}  // namespace

Napi::Function Channel::define(Napi::Env env) {
  return DefineClass(env, "Channel",
                     {
                         InstanceMethod<&Channel::send>("send"),
                         InstanceMethod<&Channel::pause>("pause"),
                         InstanceMethod<&Channel::resume>("resume"),
                         InstanceMethod<&Channel::await_writable>("awaitWritable"),
                         InstanceMethod<&Channel::keep_alive>("keepAlive"),
                         InstanceMethod<&Channel::close>("close"),
                     });
}

Channel::Channel(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Channel>(info), state_(State::of(info.Env())) {
  if (IsEmpty()) return;  // not wrapped: the environment is being ended
  (void)napi_type_tag_object(info.Env(), info.This(), &kTag);
  on_message_ = Napi::Persistent(info[1].As<Napi::Function>());
  on_end_ = Napi::Persistent(info[2].As<Napi::Function>());
  on_writable_ = Napi::Persistent(info[3].As<Napi::Function>());
  watch_ = Watch::open(
      state_, info.Env(), take_from(info[0]),
      [](void* owner, int status, int events) { static_cast<Channel*>(owner)->ready(status, events); }, this);
  if (!watch_) return;
  state_.watchers.insert(this);
  Ref();
  listen();
}

Channel::~Channel() { shut(); }

int Channel::fd_of(const Napi::Value& value) {
  if (!value.IsObject()) return -1;
  auto object = value.As<Napi::Object>();
  Channel* channel = object.CheckTypeTag(&kTag) ? Unwrap(object) : nullptr;
  return channel && channel->watch_ ? channel->watch_->fd() : -1;
}

void Channel::shut() {
  if (!watch_) return;
  for (int n = 0; state_.ending && n < kMessagesPerTurn; n++) {
    Heard heard;
    if (runts::receive(watch_->fd(), &heard) != Got::kMessage) break;
    if (kind_of(heard) == kFrameForked && heard.fds.size() == 1) untold_.push_back(static_cast<Fd&&>(heard.fds[0]));
  }
  watch_->close();
  watch_ = nullptr;
  state_.watchers.erase(this);
  on_message_.Reset();
  on_end_.Reset();
  on_writable_.Reset();
  Unref();
}

void Channel::last_look(uint64_t deadline_ms) {
  for (const Fd& each : untold_) (void)sys(__NR_pidfd_send_signal, each.get(), SIGKILL, nullptr, 0);
  for (const Fd& each : untold_) collect_by(each.get(), deadline_ms);
  untold_.clear();
}

void Channel::listen() { watch_->listen((reading_ ? UV_READABLE : 0) | (writing_ ? UV_WRITABLE : 0)); }

void Channel::ready(int status, int events) {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  // An error is the peer's end with messages of ours unread: what it wrote before that is still to be received.
  bool readable = (events & UV_READABLE) != 0 || status < 0;
  for (int n = 0; readable && watch_ && reading_ && n < kMessagesPerTurn; n++) {
    Napi::HandleScope message(env);
    readable = receive(env);
  }
  if (watch_ && writing_ && (events & UV_WRITABLE || status < 0)) {
    writing_ = false;
    call_back(env, on_writable_, {});
  }
  if (watch_) listen();
}

// False when there is nothing more for now.
bool Channel::receive(Napi::Env env) {
  Rights rights;
  struct iovec vector = {state_.buffer.data(), state_.buffer.size()};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = rights.bytes;
  message.msg_controllen = sizeof rights.bytes;
  ssize_t n = recvmsg(watch_->fd(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (n < 0) {
    // ECONNRESET is told once, before the messages that are still there.
    if (errno == EINTR || errno == ECONNRESET) return true;
    if (errno != EAGAIN) end(env, errno);
    return false;
  }
  std::vector<Fd> fds = descriptors(&message);
  if (n == 0 && fds.empty()) {
    end(env, 0);
    return false;
  }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    end(env, message.msg_flags & MSG_CTRUNC ? EMFILE : EMSGSIZE);
    return false;
  }
  Napi::Array handles = Napi::Array::New(env, fds.size());
  for (size_t i = 0; i < fds.size(); i++) {
    handles.Set(static_cast<uint32_t>(i), new_handle(env, static_cast<Fd&&>(fds[i])));
  }
  call_back(env, on_message_, {copy_bytes(env, state_.buffer.data(), static_cast<size_t>(n)), handles});
  return true;
}

void Channel::end(Napi::Env env, int error) {
  Napi::FunctionReference on_end = std::move(on_end_);
  shut();
  call_back(env, on_end, {Napi::Number::New(env, error)});
}

Napi::Value Channel::send(const Napi::CallbackInfo& info) {
  auto result = [&](int error) { return Napi::Number::New(info.Env(), error); };
  if (!watch_) return result(EPIPE);
  Bytes bytes = bytes_of(info[0]);
  struct iovec vector = {bytes.data, bytes.size};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Rights rights = {};
  add_rights(message, rights, info[1].As<Napi::Array>());
  for (;;) {
    if (sendmsg(watch_->fd(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return result(0);
    if (errno == ECONNRESET) return result(EPIPE);  // the same to who sends: nobody will read it
    if (errno != EINTR) return result(errno);
  }
}

void Channel::pause(const Napi::CallbackInfo&) {
  reading_ = false;
  if (watch_) listen();
}

void Channel::resume(const Napi::CallbackInfo&) {
  reading_ = true;
  if (watch_) listen();
}

void Channel::await_writable(const Napi::CallbackInfo&) {
  writing_ = true;
  if (watch_) listen();
}

void Channel::keep_alive(const Napi::CallbackInfo& info) {
  if (watch_) watch_->keep_alive(truth_of(info[0]));
}

void Channel::close(const Napi::CallbackInfo&) { shut(); }

}  // namespace runts
