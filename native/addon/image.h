// The init's bytes, which are part of the addon, as a file that can be executed and that nobody can change.
#pragma once
#include "../ops/result.h"

namespace runts {

// A descriptor, or -errno.
int make_image(Where& at);

}  // namespace runts
