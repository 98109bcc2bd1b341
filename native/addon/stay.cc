#include "stay.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include <atomic>
#include <string>

#include "../program/format.h"
#include "exit.h"
#include "handle.h"
#include "received.h"
#include "rights.h"
#include "value.h"
#include "watch.h"

namespace runts {

namespace {

constexpr size_t kMessagesMax = 64;  // an init that floods us is left to the event loop, which can stop listening

// The pool is the whole process's, and files and names are looked up on it: at most half of its threads stay anywhere.
class Place {
 public:
  Place() : mine_(taken_.fetch_add(1) < most()) {}
  ~Place() { taken_.fetch_sub(1); }
  bool mine() const { return mine_; }

 private:
  static int most() {
    static const int most = [] {
      const char* size = getenv("UV_THREADPOOL_SIZE");
      return (size ? atoi(size) : 4) / 2;
    }();
    return most;
  }

  static std::atomic<int> taken_;
  bool mine_;
};
std::atomic<int> Place::taken_{0};

class Patience {
 public:
  explicit Patience(uint32_t milliseconds) : until_(now() + milliseconds) {}

  // Whether there is something to be had from a descriptor while there is time.
  bool outlasts(int fd) const {
    struct pollfd waiting = {fd, POLLIN, 0};
    int64_t left = until_ - now();
    return poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0) > 0;
  }

 private:
  static int64_t now() {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
  }

  int64_t until_;
};

uint32_t kind_of(const Heard& heard) {
  uint32_t kind = 0;
  if (heard.bytes.size() >= sizeof kind) memcpy(&kind, heard.bytes.data(), sizeof kind);
  return kind;
}

enum class Got { kMessage, kNothing, kEnd };

// What does not arrive whole stays where it is, for the event loop to say what is wrong with it.
Got receive(int channel, Heard* heard) {
  Rights rights;
  uint8_t frame[sizeof(Frame)];
  struct iovec vector = {frame, sizeof frame};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = rights.bytes;
  message.msg_controllen = sizeof rights.bytes;
  ssize_t size = recvmsg(channel, &message, MSG_PEEK | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  // ECONNRESET is told once, before the messages that are still there.
  if (size < 0) return errno == EINTR || errno == ECONNRESET ? Got::kMessage : Got::kNothing;
  heard->fds = descriptors(&message);
  if (size == 0 && heard->fds.empty()) return Got::kEnd;
  if (static_cast<size_t>(size) > sizeof frame || message.msg_flags & MSG_CTRUNC) return Got::kNothing;
  heard->bytes.assign(frame, frame + size);
  return recv(channel, frame, 0, MSG_DONTWAIT) < 0 ? Got::kNothing : Got::kMessage;
}

}  // namespace

void stay(int channel, int process, uint32_t milliseconds, Story* story) {
  Place place;
  if (!place.mine()) return;
  Patience patience(milliseconds);
  std::vector<int> processes = {process};
  for (bool open = true; open;) {
    if (story->messages.size() == kMessagesMax || !patience.outlasts(channel)) return;
    Heard heard;
    Got got = receive(channel, &heard);
    if (got == Got::kNothing) return;
    open = got == Got::kMessage;
    if (heard.bytes.empty()) continue;
    uint32_t kind = kind_of(heard);
    if (kind == kFrameForked && heard.fds.size() == 1) processes.push_back(heard.fds[0].get());
    story->messages.push_back(static_cast<Heard&&>(heard));
    if (kind == kFrameHandle) return;
    if (kind != kFrameExit) continue;
    // Process 1, and what the command has left running, end with the channel.
    (void)shutdown(channel, SHUT_RDWR);
    open = false;
  }
  for (int each : processes) {
    if (!patience.outlasts(each)) return;
  }
  siginfo_t info;
  for (int each : processes) {
    if (collect(each, &info) <= 0) info.si_code = 0;
  }
  story->how = info.si_code;
  story->status = info.si_status;
  story->ended = true;
}

bool Story::plain() const {
  for (const Heard& heard : messages) {
    if (heard.bytes.size() != sizeof(Frame) || !heard.fds.empty()) return false;
  }
  return true;
}

void tell_plainly(Napi::Env env, const Story& story, int pid, const Napi::FunctionReference& to) {
  std::string frames;
  frames.reserve(story.messages.size() * sizeof(Frame));
  for (const Heard& heard : story.messages) frames.append(reinterpret_cast<const char*>(heard.bytes.data()), heard.bytes.size());
  napi_value latin1;
  if (napi_create_string_latin1(env, frames.data(), frames.size(), &latin1) != napi_ok) return;  // JavaScript cannot run any more
  Napi::Value none = env.Undefined();
  Napi::Value status = Napi::Number::New(env, story.status);
  bool exited = story.how == CLD_EXITED;
  call_back(env, to, {Napi::Number::New(env, pid), latin1, exited ? status : none, exited || story.how == 0 ? none : status});
}

void tell(Napi::Env env, Story* story, Napi::Object to) {
  Napi::Array messages = Napi::Array::New(env);
  for (Heard& heard : story->messages) {
    Napi::Array handles = Napi::Array::New(env);
    for (Fd& fd : heard.fds) handles.Set(handles.Length(), new_handle(env, static_cast<Fd&&>(fd)));
    Napi::Object message = Napi::Object::New(env);
    message.Set("bytes", copy_bytes(env, heard.bytes.data(), heard.bytes.size()));
    message.Set("handles", handles);
    messages.Set(messages.Length(), message);
  }
  to.Set("messages", messages);
  if (!story->ended) return;
  Napi::Object ended = Napi::Object::New(env);
  if (story->how != 0) ended.Set(story->how == CLD_EXITED ? "code" : "signal", Napi::Number::New(env, story->status));
  to.Set("ended", ended);
}

}  // namespace runts
