#include "errand.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "handle.h"
#include "value.h"

namespace runts {

namespace {

using Letters = std::shared_ptr<const Letter>;
constexpr int kPipe = -1;

}  // namespace

Napi::Value make_letter(const Napi::CallbackInfo& info) {
  auto letter = std::make_shared<Letter>();
  auto messages = info[0].As<Napi::Array>();
  for (uint32_t i = 0; i < messages.Length(); i++) {
    Bytes bytes = bytes_of(messages.Get(i));
    letter->messages.emplace_back(bytes.data, bytes.data + bytes.size);
  }
  expect(!letter->messages.empty(), "an errand without a message");
  auto places = info[1].As<Napi::Uint32Array>();
  size_t room = letter->messages.front().size();
  for (size_t i = 0; i + 1 < places.ElementLength(); i += 2) {
    uint32_t where = places[i], size = places[i + 1];
    expect(where <= room && size <= room - where, "a place of a message");
    letter->places.emplace_back(where, size);
  }
  letter->null = text_of(info[2]);
  auto* kept = new Letters(std::move(letter));
  return Napi::External<Letters>::New(info.Env(), kept, [](Napi::Env, Letters* all) { delete all; });
}

int Errand::read(Where& at, Napi::Value letter, const Napi::Array& handles, Napi::Value text, Errand* errand) {
  errand->letter_ = *letter.As<Napi::External<Letters>>().Data();
  if (!errand->letter_->places.empty()) errand->text_ = text_of(text);
  for (auto& [where, size] : errand->letter_->places) expect(size <= errand->text_.size(), "a text for a place");
  uint32_t count = handles.Length();
  expect(count <= kHandlesMax, "too many handles");
  for (uint32_t i = 0; i < count; i++) {
    Napi::Value each = handles.Get(i);
    if (each.IsNumber()) {
      errand->descriptors_.push_back({Fd(), static_cast<int>(number_of(each))});
      continue;
    }
    Fd fd = duplicate(fd_of(each));  // the caller's may be closed while the job waits for its thread
    if (!fd.ok()) return check(at, kStepFcntl, fd.get());
    errand->descriptors_.push_back({static_cast<Fd&&>(fd), 0});
  }
  return 0;
}

int Errand::leave(Where& at, int channel) {
  if (empty()) return 0;
  for (Descriptor& each : descriptors_) {
    int r = each.fd.ok() ? 0 : open(at, &each);
    if (r < 0) return r;
  }
  for (size_t i = 0; i < letter_->messages.size(); i++) {
    std::vector<uint8_t> bytes = letter_->messages[i];
    if (i == 0) {
      for (auto& [where, size] : letter_->places) memcpy(bytes.data() + where, text_.data(), size);
    }
    int r = send(at, channel, bytes);
    if (r < 0) return r;
    descriptors_.clear();
  }
  left_ = true;
  return 0;
}

int Errand::open(Where& at, Descriptor* descriptor) {
  if (descriptor->flags != kPipe) {
    const char* null = letter_->null.c_str();
    descriptor->fd.reset(check(at, kStepOpen, null, sys(__NR_openat, AT_FDCWD, null, descriptor->flags | O_CLOEXEC)));
    return descriptor->fd.ok() ? 0 : descriptor->fd.get();
  }
  expect(outputs_.size() < kOutputs, "a third pipe");
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  if (r < 0) return r;
  descriptor->fd.reset(ends[1]);
  outputs_.emplace_back(ends[0]);
  return check(at, kStepFcntl, sys(__NR_fcntl, ends[0], F_SETFL, O_NONBLOCK));
}

int Errand::send(Where& at, int channel, std::vector<uint8_t>& bytes) {
  struct iovec vector = {bytes.data(), bytes.size()};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Rights rights = {};
  add_rights(message, rights, static_cast<uint32_t>(descriptors_.size()), [this](uint32_t n) { return descriptors_[n].fd.get(); });
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_sendmsg, channel, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return r < 0 ? check(at, kStepSendmsg, r) : 0;
}

}  // namespace runts
