// Questions about a tree, as a process that we have not confined could ask them, answered from directories, links, attributes
// and files that say one thing and are another.
#include "../ops/tree.h"

#include <string.h>

#include <memory>

#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // First the questions; then the answers of the kernel, and calls that work after them.
  constexpr size_t kWork = 4096;
  size_t questions = input[0] < size - 1 ? input[0] : size - 1, rest = size - 1 - questions;
  std::unique_ptr<uint8_t[]> stream(new uint8_t[questions]), tape(new uint8_t[rest + kWork]());
  memcpy(stream.get(), input + 1, questions);
  memcpy(tape.get(), input + 1 + questions, rest);
  kernel::begin(tape.get(), rest + kWork);
  kernel::file = stream.get();
  kernel::file_size = questions;
  int source = kernel::give(), root = kernel::give();
  Where at;
  int r = 0;
  if (kernel::lives([&] { r = read_tree(at, source, root); })) {
    if (r < 0) kernel::expect_text(at.detail);
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
