// The verifier on anything at all. What it accepts, the loop may read: every operand is, from memory that ends where the
// program does. The first byte says whether the header is made to fit.
#include "../program/verify.h"

#include <string.h>

#include <memory>

#include "program.h"

using namespace runts;

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 1) return 0;
  bool fits = input[0] & 1;
  input++, size--;
  std::unique_ptr<uint64_t[]> words(new uint64_t[(size + 7) / 8]);
  std::unique_ptr<uint8_t[]> exact(new uint8_t[size]);  // ASan guards the very end of it
  memcpy(exact.get(), input, size);
  uint8_t* program = size % 8 ? reinterpret_cast<uint8_t*>(words.get()) : exact.get();
  if (size % 8) memcpy(program, input, size);
  size_t known = program_size(program, size);
  if (fits && known > 0 && known == size) repair(program, size);
  Verdict verdict = verify(program, size);
  if (!verdict.reason) read_all(program);
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  if (seed % 4 == 0 || size < 1) return LLVMFuzzerMutate(data, size, max_size);
  std::unique_ptr<uint64_t[]> words(new uint64_t[size / 8 + 1]);
  auto* program = reinterpret_cast<uint8_t*>(words.get());
  memcpy(program, data + 1, size - 1);
  size_t known = program_size(program, size - 1);
  if (known == 0) return LLVMFuzzerMutate(data, size, max_size);
  data[0] = 1;
  change(program, known, seed);
  memcpy(data + 1, program, known);
  return 1 + known;
}
