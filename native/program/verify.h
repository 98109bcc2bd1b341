// Is this a program? Checked before the first op runs, and by tests through the addon. It is a net for bugs of ours
// (encoder, version skew, truncation), not a privilege boundary.
#pragma once
#include "format.h"

namespace runts {

struct Verdict {
  const char* reason;  // null: the program is well formed
  int32_t op;          // the op that breaks the rule; -1 for the header
};

// bytes must be 8-aligned. One pass, no recursion, no allocation.
Verdict verify(const uint8_t* bytes, size_t size);

}  // namespace runts
