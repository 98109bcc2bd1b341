// Network devices of the host that a container gets.
#pragma once
#include "result.h"

namespace runts {

// Moves a device of our network namespace into another one under a new name, with its permanent global addresses, and
// brings it up there. We stay in our namespace.
int move_net_device(Where& at, const char* name, int netns, const char* rename);

}  // namespace runts
