// The device filter of a cgroup: an eBPF program.
#pragma once
#include "../ops/result.h"

namespace runts {

// Loads a program and attaches it to a cgroup, in the place of those that we attached before. 0 or -errno.
int filter_devices(Where& at, int cgroup, const uint8_t* program, size_t bytes);

}  // namespace runts
