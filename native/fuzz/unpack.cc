// A stream of records of a layer, as a process that we have not confined could write it, unpacked into a directory.
#include "../ops/unpack.h"

#include <string.h>

#include <memory>

#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // First the answers of the other calls, and calls that work after them; then the stream.
  constexpr size_t kWork = 4096;
  size_t answers = input[0] < size - 1 ? input[0] : size - 1, rest = size - 1 - answers;
  std::unique_ptr<uint8_t[]> stream(new uint8_t[rest]), tape(new uint8_t[answers + kWork]());
  memcpy(stream.get(), input + 1 + answers, rest);
  memcpy(tape.get(), input + 1, answers);
  kernel::begin(tape.get(), answers + kWork);
  kernel::file = stream.get();
  kernel::file_size = rest;
  int source = kernel::give(), root = kernel::give();
  Where at;
  int r = 0;
  if (kernel::lives([&] { r = unpack(at, source, root); })) {
    if (r < 0) kernel::expect_text(at.detail);
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
