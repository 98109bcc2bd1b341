// The init's bytes, which are part of the addon, as a file that can be executed and that nobody can change.
#pragma once
#include "../ops/result.h"

namespace runts {

// Both give a descriptor, or -errno.

// Memory that nobody can change: one is enough for all inits. -EACCES where vm.memfd_noexec forbids to execute memory.
int sealed_image(Where& at);

// A file without a name, for one init only: once nobody executes it, whoever is root in a container, and root of the
// host, can write to it by /proc/PID/exe (CVE-2019-5736).
int file_image(Where& at);

}  // namespace runts
