// cgroup v2 by descriptor.
#pragma once
#include "result.h"

namespace runts {

// 0 where a descriptor is of a cgroup2 file system; -EXDEV where it is not.
int check_cgroup2(Where& at, int fd);

// One write(2) to a control file of a cgroup directory, which must lie on a cgroup2 file system.
int write_cgroup(Where& at, int cgroup, const char* file, const void* value, size_t size);

// Kills what lives in `name` below `parent` and removes it with the cgroups below it; waits up to ten seconds for the
// kernel to empty it.
int kill_cgroup(Where& at, int parent, const char* name);

}  // namespace runts
