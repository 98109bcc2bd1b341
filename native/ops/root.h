// The new root, and what is hidden or frozen in it.
#pragma once
#include "result.h"

namespace runts {

// pivot_root(".", ".") onto a mount that is attached in this namespace; the old root is detached.
int pivot(Where& at, int root);

// The same where pivot_root(2) is refused (an initial ramfs): what else is mounted is taken away, or hidden where it is
// locked; MS_MOVE over "/", chroot(2). The old root itself stays under it.
int move_root(Where& at, int root);

// Hides a path below root: a directory under an empty read-only tmpfs, anything else under `null`, which is checked to
// be the null device (CVE-2025-31133: the image's /dev/null may be a link).
int mask(Where& at, int root, const char* path, int null);

// Makes what is at a path, and below it, read-only.
int make_readonly(Where& at, int root, const char* path);

}  // namespace runts
