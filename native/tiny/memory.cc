// In the place of the C library's memcpy: musl's is an instruction that repeats, and takes longer to begin than most of what
// the engine copies, which is some words of a string or of a list.
#include <stddef.h>

namespace {

// Two words of one size, which overlap where they have to.
template <size_t kSize>
inline void copy_ends(char* to, const char* from, size_t size) {
  struct Word {
    char bytes[kSize];
  };
  Word first, last;
  __builtin_memcpy(&first, from, kSize);
  __builtin_memcpy(&last, from + size - kSize, kSize);
  __builtin_memcpy(to, &first, kSize);
  __builtin_memcpy(to + size - kSize, &last, kSize);
}

}  // namespace

extern "C" void* __wrap_memcpy(void* __restrict to, const void* __restrict from, size_t size) {
  auto* target = static_cast<char*>(to);
  auto* source = static_cast<const char*>(from);
  if (size >= 16) {
    for (size_t at = 0; at + 16 < size; at += 16) __builtin_memcpy(target + at, source + at, 16);
    __builtin_memcpy(target + size - 16, source + size - 16, 16);
  } else if (size >= 8) {
    copy_ends<8>(target, source, size);
  } else if (size >= 4) {
    copy_ends<4>(target, source, size);
  } else if (size > 0) {
    target[0] = source[0];
    if (size > 1) copy_ends<2>(target, source, size);
  }
  return to;
}
