#include "stay.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>

#include "../program/format.h"
#include "errand.h"
#include "exit.h"
#include "handle.h"
#include "value.h"
#include "watch.h"

namespace runts {

namespace {

constexpr int kOutputMax = 64 << 10;  // a pipe's, unless somebody asks for more
constexpr uint32_t kUntoldMs = 1000;
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

// Hears until nothing more is to be heard from here: the channel has ended, or all children that are to come have. False where the
// rest is for somebody else.
bool listen(int channel, const Patience& patience, uint32_t children, Story* story, std::vector<int>* processes) {
  for (;;) {
    if (story->messages.size() == kMessagesMax || !patience.outlasts(channel)) return false;
    Heard heard;
    Got got = receive(channel, &heard);
    if (got != Got::kMessage) return got == Got::kEnd;
    if (heard.bytes.empty()) continue;
    uint32_t kind = kind_of(heard);
    bool child = kind == kFrameForked && heard.fds.size() == 1;
    if (child) processes->push_back(heard.fds[0].get());
    if (child && heard.bytes.size() == sizeof(Frame)) story->pid = static_cast<int>(frame_in(heard).value);
    story->messages.push_back(static_cast<Heard&&>(heard));
    if (kind == kFrameHandle) return false;
    if (kind == kFrameExit) {
      // Process 1, and what the command has left running, end with the channel.
      (void)shutdown(channel, SHUT_RDWR);
      return true;
    }
    if (child && children > 0 && processes->size() > children) return true;
  }
}

// What those have said who are over. False where there is more than that.
bool hear_the_rest(int channel, Story* story) {
  while (story->messages.size() < kMessagesMax) {
    Heard heard;
    Got got = receive(channel, &heard);
    if (got != Got::kMessage) return got == Got::kEnd;
    if (!heard.bytes.empty()) story->messages.push_back(static_cast<Heard&&>(heard));
  }
  return false;
}

// The end of one that has told of itself by an error is known anyway.
void drop_rights(Story* story) {
  for (Heard& heard : story->messages) {
    if (kind_of(heard) == kFrameError) heard.fds.clear();
  }
}

// To its end, which there is: nobody else has the other one. False where it cannot be read.
bool read_all(int pipe, std::vector<uint8_t>* to) {
  uint8_t piece[4096];
  for (;;) {
    ssize_t n = read(pipe, piece, sizeof piece);
    if (n <= 0 && !(n < 0 && errno == EINTR)) return n == 0;
    if (n > 0) to->insert(to->end(), piece, piece + n);
  }
}

}  // namespace

void stay(int channel, const Spawned& init, uint32_t milliseconds, uint32_t children, Story* story) {
  Place place;
  if (!place.mine()) return;
  Patience patience(milliseconds);
  story->pid = init.pid;
  std::vector<int> processes = {init.process.get()};
  if (!listen(channel, patience, children, story, &processes)) return;
  for (size_t i = processes.size(); i > 0; i--) {
    if (!patience.outlasts(processes[i - 1])) return;
  }
  if (children > 0 && !hear_the_rest(channel, story)) return;
  drop_rights(story);
  siginfo_t info;
  for (int each : processes) {
    if (collect(each, &info) <= 0) info.si_code = 0;
  }
  story->how = info.si_code;
  story->status = info.si_status;
  story->ended = true;
  if (children > 0) {
    auto& all = story->messages;
    all.erase(std::remove_if(all.begin(), all.end(), [](const Heard& heard) { return kind_of(heard) == kFrameForked; }), all.end());
  }
}

void abandon(int channel, Spawned* init, uint32_t children, Story* story) {
  auto is_child = [](const Heard& heard) { return kind_of(heard) == kFrameForked && heard.fds.size() == 1; };
  std::vector<int> processes = {init->process.get()};
  for (const Heard& heard : story->messages) {
    if (is_child(heard)) processes.push_back(heard.fds[0].get());
  }
  bool untold = init->process.ok() && processes.size() <= children;
  if (untold && !listen(channel, Patience(kUntoldMs), children, story, &processes) && Patience(0).outlasts(channel)) {
    auto rest = static_cast<uint32_t>(children + 1 - processes.size());
    end_by_number(channel, Patience(kUntoldMs), rest);
  }
  runts::abandon(init);
  for (Heard& heard : story->messages) {
    if (!is_child(heard)) continue;
    Spawned child;
    child.process = static_cast<Fd&&>(heard.fds[0]);
    runts::abandon(&child);
  }
}

void read_outputs(std::vector<Fd>* outputs, Story* story) {
  for (Fd& output : *outputs) {
    std::vector<uint8_t>& all = story->written.emplace_back();
    struct pollfd state = {output.get(), POLLIN, 0};
    int size = 0;
    if (poll(&state, 1, 0) < 0 || !(state.revents & POLLHUP) || ioctl(output.get(), FIONREAD, &size) < 0) continue;
    if (size > kOutputMax) continue;
    if (size > 0 && !read_all(output.get(), &all)) continue;
    output.reset();
  }
}

bool Story::plain() const {
  for (const Heard& heard : messages) {
    if (heard.bytes.size() != sizeof(Frame) || !heard.fds.empty()) return false;
  }
  return true;
}

void tell_plainly(Napi::Env env, const Story& story, std::vector<Fd>* outputs, const Napi::FunctionReference& to) {
  std::string frames;
  frames.reserve(story.messages.size() * sizeof(Frame));
  for (const Heard& heard : story.messages) frames.append(reinterpret_cast<const char*>(heard.bytes.data()), heard.bytes.size());
  napi_value latin1;
  if (napi_create_string_latin1(env, frames.data(), frames.size(), &latin1) != napi_ok) return;  // JavaScript cannot run any more
  Napi::Value none = env.Undefined();
  Napi::Value status = Napi::Number::New(env, story.status);
  bool exited = story.how == CLD_EXITED;
  Napi::Value output[kOutputs];
  for (size_t i = 0; i < kOutputs; i++) {
    bool known = i < story.written.size(), open = i < outputs->size() && (*outputs)[i].ok();
    if (open) output[i] = new_handle(env, static_cast<Fd&&>((*outputs)[i]));
    else if (known && !story.written[i].empty()) output[i] = copy_bytes(env, story.written[i].data(), story.written[i].size());
    else output[i] = none;
  }
  call_back(env, to,
            {Napi::Number::New(env, story.pid), latin1, exited ? status : none, exited || story.how == 0 ? none : status,
             output[0], output[1]});
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
