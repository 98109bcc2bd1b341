// A whole program, run to its end against a kernel that answers what it likes: every op with operands of any value. What
// a program leaves open are its registers, and nothing else.
#include "../program/run.h"

#include <string.h>

#include <memory>

#include "../program/ops.gen.h"
#include "../program/verify.h"
#include "init.h"
#include "kernel.h"
#include "program.h"

using namespace runts;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace {

// It reads files of the kernel's own below descriptors that it was given (native/ops/readings.h).
bool serves_view(const uint8_t* program) {
  auto* header = reinterpret_cast<const Header*>(program);
  auto* ops = reinterpret_cast<const Op*>(header + 1);
  for (uint32_t i = 0; i < header->ops; i++) {
    if (ops[i].code == kOpServeView) return true;
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  size_t end = program_size(input, size);
  if (end == 0) return 0;
  // Of words, as in the init: operands are read in place.
  std::unique_ptr<uint64_t[]> words(new uint64_t[end / 8]);
  auto* program = reinterpret_cast<uint8_t*>(words.get());
  memcpy(program, input, end);
  repair(program, end);
  if (verify(program, end).reason) return 0;
  kernel::begin(input + end, size - end);
  kernel::in_proc = serves_view(program);
  begin_init();
  static int handles[kHandlesMax];
  for (uint32_t i = 0; i < reinterpret_cast<const Header*>(program)->inputs; i++) handles[i] = kernel::give();
  Failure failure = {};
  bool lived = kernel::lives([&] {
    // What it says of a failure is read to its end.
    if (!run(program, handles, &failure)) (void)send_frame(frame_of(failure), -1);
  });
  if (!lived) return 0;
  int fds[kRegistersMax + kProgramsKeptMax + 8];
  kernel::expect_open_only(fds, held(fds));
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  size_t end = program_size(data, size);
  if (end == 0 || seed % 8 == 0) return LLVMFuzzerMutate(data, size, max_size);
  if (seed % 8 < 4) return end + LLVMFuzzerMutate(data + end, size - end, max_size - end);
  std::unique_ptr<uint64_t[]> words(new uint64_t[end / 8]);
  auto* program = reinterpret_cast<uint8_t*>(words.get());
  memcpy(program, data, end);
  change(program, end, seed);
  memcpy(data, program, end);
  return size;
}
