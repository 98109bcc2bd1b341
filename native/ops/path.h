// Paths below a root. What an image contains is hostile, and may change while we look: every path is resolved by the
// kernel inside the root (RESOLVE_IN_ROOT) and through no magic link, and what was resolved is held as a descriptor.
#pragma once
#include "result.h"

namespace runts {

// Opens `path` below `root` (openat2 with O_CLOEXEC added). An empty path is the root itself.
int open_below(Where& at, int root, const char* path, uint64_t flags, uint64_t mode = 0, uint64_t resolve = 0);

// Opens the directory above the last component of `path`, making the missing ones with mode 0755, and points *last at
// that component. -EINVAL when the last component is empty, `.` or `..`.
int open_parent(Where& at, int root, const char* path, const char** last);

// The same, and makes nothing: -ENOENT when a directory on the way is missing.
int find_parent(Where& at, int root, const char* path, const char** last);

// For `resolve`: no component may be a link (RESOLVE_NO_SYMLINKS); no mount may be entered (RESOLVE_NO_XDEV).
constexpr uint64_t kNoLinks = 4, kNoMounts = 1;

// Opens what is to be mounted over; when nothing is there, makes a directory or an empty file first.
int mount_point(Where& at, int root, const char* path, bool directory, uint64_t resolve = 0);

// Opens a directory below root, making it and the missing ones above it.
int make_directory(Where& at, int root, const char* path, uint32_t mode, uint64_t resolve = 0);

// The file type bits of a mode (S_IFMT), which <linux/stat.h> withholds where a libc is in sight.
enum : int {
  kTypeBits = 0170000,
  kFifo = 0010000,
  kCharacter = 0020000,
  kDirectory = 0040000,
  kRegular = 0100000,
  kLink = 0120000,
};

// The type bits of a descriptor's file, or -errno.
int type_of(Where& at, int fd);

// Whether a descriptor is that of the null device, whichever path it was found by.
bool is_null_device(int fd);

}  // namespace runts
