// What an init finds on its channel when it begins, put there by the thread that clones it.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../ops/result.h"

namespace runts {

// So many pipes are made for one at most: those of its output.
constexpr size_t kOutputs = 2;

// What many errands have in common.
struct Letter {
  std::vector<std::vector<uint8_t>> messages;
  // Where in the first one a text belongs, and how much of it.
  std::vector<std::pair<uint32_t, uint32_t>> places;
  // By which the null device is opened.
  std::string null;
};

class Errand {
 public:
  // `text` may be undefined. A handle that is a number is the null device, opened anew with these flags; one that is -1 is the end to
  // write to of a pipe that is made for it.
  static int read(Where& at, Napi::Value letter, const Napi::Array& handles, Napi::Value text, Errand* errand);

  bool empty() const { return !letter_; }
  // The descriptors go with the first message. Nothing to leave is left.
  int leave(Where& at, int channel);
  bool is_left() const { return left_; }
  // The ends to read from of those pipes, in their order; they do not block.
  std::vector<Fd>& outputs() { return outputs_; }

 private:
  struct Descriptor {
    Fd fd;
    int flags;
  };
  int open(Where& at, Descriptor* descriptor);
  int send(Where& at, int channel, std::vector<uint8_t>& bytes);

  std::shared_ptr<const Letter> letter_;
  std::vector<Descriptor> descriptors_;
  std::vector<Fd> outputs_;
  std::string text_;
  bool left_ = false;
};

// letter(messages, places: [where, how much, ...], null) -> a value for `spawn`.
Napi::Value make_letter(const Napi::CallbackInfo& info);

}  // namespace runts
