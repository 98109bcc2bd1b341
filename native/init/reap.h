// The command's side of the reaper; the rest is in ../program/link.h.
#pragma once
#include "../program/format.h"

namespace runts {

// Leaves the frame of a failure to the reaper, if there is one, to send. A filter may by now deny the command's side
// every call, so it is said through memory.
bool leave_to_reaper(const Frame& failure);

}  // namespace runts
