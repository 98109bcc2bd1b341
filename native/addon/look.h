// What was looked at before, and what there was: whether it is so still can be told on any thread.
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "../ops/result.h"

namespace runts {

struct Look {
  std::string path;
  // For a file below it, which is resolved inside it; empty for any other.
  std::string root;
  // A directory with no link on the way to it; otherwise a regular file.
  bool straight = false;
  // No such file.
  bool missing = false;
  std::vector<uint8_t> bytes;
};

using Looks = std::shared_ptr<std::vector<Look>>;

// 0, or -ESTALE with what is not as it was.
int as_it_was(Where& at, const Looks& looks);

// looks([{path, root?, bytes?, straight?}]) -> a value for `spawn`: without bytes a file that is not there.
Napi::Value make_looks(const Napi::CallbackInfo& info);
Looks looks_of(const Napi::Value& value);

}  // namespace runts
