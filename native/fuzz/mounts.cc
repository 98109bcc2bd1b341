// A mount table of any content, while the root is moved (op move_root).
#include <string.h>

#include <memory>

#include "../ops/root.h"
#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // First the answers of the other calls, then the table.
  size_t answers = input[0] < size - 1 ? input[0] : size - 1;
  std::unique_ptr<uint8_t[]> table(new uint8_t[size - 1 - answers]);
  memcpy(table.get(), input + 1 + answers, size - 1 - answers);
  // 0 is success: a root whose path is /dddd, and calls that work, come from a few bytes repeated.
  std::unique_ptr<uint8_t[]> tape(new uint8_t[answers + 4096]());
  memcpy(tape.get(), input + 1, answers);
  kernel::begin(tape.get(), answers + 4096);
  kernel::file = table.get();
  kernel::file_size = size - 1 - answers;
  int root = kernel::give();
  Where at;
  int r = 0;
  if (kernel::lives([&] { r = move_root(at, root); })) {
    if (r < 0) kernel::expect_text(at.detail);
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
