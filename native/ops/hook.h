// A program of somebody else's that runs to its end between two ops.
#pragma once
#include "result.h"

namespace runts {

struct Hook {
  const char* path;
  const char* const* argv;
  const char* const* env;
  int input;
  uint32_t timeout_ms;  // 0: never
};

// Runs it in a session of its own, with `input` read from its beginning and its output caught. -ETIMEDOUT and -ECANCELED
// (it said no) come with a detail that is good until the next hook. What a hook that succeeds leaves running, stays.
int run_to_its_end(Where& at, const Hook& hook);

}  // namespace runts
