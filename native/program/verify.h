// Is this a program? Checked before the first op runs, and by tests through the addon. lib/program/verify.ts has the
// same rules. It is a net for bugs of ours (encoder, version skew, truncation), not a privilege boundary.
#pragma once
#include "format.h"

namespace runts {

struct Verdict {
  const char* reason;  // null: the program is well formed
  uint32_t op;         // the op it is about, or ops
};

// bytes must be 8-aligned. One pass, no recursion, no allocation.
Verdict verify(const uint8_t* bytes, size_t size);

}  // namespace runts
