#include "terminal.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "../ops/terminal.h"
#include "handle.h"
#include "value.h"

namespace runts {

namespace {

// One turn of the loop must not belong to one writer that floods us.
constexpr int kReadsPerTurn = 16;

}  // namespace

Napi::Function Terminal::define(Napi::Env env) {
  return DefineClass(env, "Terminal",
                     {
                         InstanceMethod<&Terminal::read>("read"),
                         InstanceMethod<&Terminal::write>("write"),
                         InstanceMethod<&Terminal::resize>("resize"),
                         InstanceMethod<&Terminal::size>("size"),
                         InstanceMethod<&Terminal::keep_alive>("keepAlive"),
                         InstanceMethod<&Terminal::close>("close"),
                     });
}

Terminal::Terminal(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<Terminal>(info), state_(State::of(info.Env())) {
  if (IsEmpty()) return;  // not wrapped: the environment is being ended
  on_bytes_ = Napi::Persistent(info[1].As<Napi::Function>());
  on_end_ = Napi::Persistent(info[2].As<Napi::Function>());
  on_writable_ = Napi::Persistent(info[3].As<Napi::Function>());
  // libuv makes the descriptor non-blocking; the slave has a file of its own and does not notice.
  watch_ = Watch::open(
      state_, info.Env(), take_from(info[0]),
      [](void* owner, int status, int events) { static_cast<Terminal*>(owner)->ready(status, events); }, this);
  if (!watch_) return;
  state_.watchers.insert(this);
  Ref();
}

Terminal::~Terminal() { shut(); }

void Terminal::shut() {
  if (!watch_) return;
  watch_->close();
  watch_ = nullptr;
  state_.watchers.erase(this);
  on_bytes_.Reset();
  on_end_.Reset();
  on_writable_.Reset();
  Unref();
}

void Terminal::listen() { watch_->listen((reading_ ? UV_READABLE : 0) | (writing_ ? UV_WRITABLE : 0)); }

void Terminal::ready(int status, int events) {
  Napi::Env env = Env();
  Napi::HandleScope scope(env);
  bool readable = (events & UV_READABLE) != 0 || status < 0;
  for (int n = 0; readable && watch_ && reading_ && n < kReadsPerTurn; n++) {
    Napi::HandleScope bytes(env);
    readable = receive(env);
  }
  if (watch_ && writing_ && (events & UV_WRITABLE || status < 0)) {
    writing_ = false;
    call_back(env, on_writable_, {});
  }
  if (watch_) listen();
}

// False when there is nothing more for now.
bool Terminal::receive(Napi::Env env) {
  ssize_t n = ::read(watch_->fd(), state_.buffer.data(), state_.buffer.size());
  if (n > 0) {
    call_back(env, on_bytes_, {copy_bytes(env, state_.buffer.data(), static_cast<size_t>(n))});
    return true;
  }
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return errno == EINTR;
  // EIO is how a master says that nobody has the slave open any more.
  int error = n == 0 || errno == EIO ? 0 : errno;
  Napi::FunctionReference on_end = std::move(on_end_);
  shut();
  call_back(env, on_end, {Napi::Number::New(env, error)});
  return false;
}

void Terminal::read(const Napi::CallbackInfo& info) {
  reading_ = truth_of(info[0]);
  if (watch_) listen();
}

Napi::Value Terminal::write(const Napi::CallbackInfo& info) {
  auto result = [&](ssize_t n) { return Napi::Number::New(info.Env(), static_cast<double>(n)); };
  if (!watch_) return result(-EIO);
  Bytes bytes = bytes_of(info[0]);
  ssize_t n = -1;
  errno = EINTR;
  while (n < 0 && errno == EINTR) n = ::write(watch_->fd(), bytes.data, bytes.size);
  if (n < 0 && errno != EAGAIN) return result(-errno);
  if (n < static_cast<ssize_t>(bytes.size)) {
    writing_ = true;
    listen();
  }
  return result(n < 0 ? 0 : n);
}

Napi::Value Terminal::resize(const Napi::CallbackInfo& info) {
  Where at;
  int r = watch_ ? set_window(at, watch_->fd(), static_cast<uint32_t>(flags_of(info[0])),
                              static_cast<uint32_t>(flags_of(info[1])))
                 : check(at, kStepIoctl, -EIO);
  return outcome(info.Env(), at, r);
}

Napi::Value Terminal::size(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  struct winsize window = {};
  if (!watch_ || ioctl(watch_->fd(), TIOCGWINSZ, &window) < 0) return env.Undefined();
  Napi::Object size = Napi::Object::New(env);
  size.Set("columns", Napi::Number::New(env, window.ws_col));
  size.Set("rows", Napi::Number::New(env, window.ws_row));
  return size;
}

void Terminal::keep_alive(const Napi::CallbackInfo& info) {
  if (watch_) watch_->keep_alive(truth_of(info[0]));
}

void Terminal::close(const Napi::CallbackInfo&) { shut(); }

Napi::Value raw_terminal(const Napi::CallbackInfo& info) {
  int fd = static_cast<int>(flags_of(info[0]));
  struct termios mode;
  Where at;
  int r = check(at, kStepIoctl, tcgetattr(fd, &mode) < 0 ? -errno : 0);
  if (r == 0) {
    cfmakeraw(&mode);
    r = check(at, kStepIoctl, tcsetattr(fd, TCSADRAIN, &mode) < 0 ? -errno : 0);
  }
  return outcome(info.Env(), at, r);
}

}  // namespace runts
