// The output of a hook, how it ends, and what is said of it.
#include "../ops/hook.h"

#include <string.h>

#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  kernel::begin(input, size);
  const char* argv[] = {"hook", nullptr};
  const char* env[] = {nullptr};
  Hook hook = {"/hook", argv, env, kernel::give(), kernel::byte() * 100u};
  Where at;
  if (kernel::lives([&] { (void)run_to_its_end(at, hook); })) {
    size_t length = strlen(at.detail);
    if (length >= 280) broken("a detail is longer than a frame has room for");
    for (const char* c = at.detail; *c; c++) {
      if (static_cast<uint8_t>(*c) < ' ' || *c == 0x7f) broken("what a hook says could move a cursor");
    }
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
