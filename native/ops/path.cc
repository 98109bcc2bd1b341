#include "path.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>

#include "../program/format.h"

namespace runts {

int open_below(Where& at, int root, const char* path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  while (*path == '/') path++;
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve;
  // EAGAIN: somebody renamed something on the way, so the kernel cannot be sure that we stayed inside. A container that
  // keeps renaming must not keep us here.
  long fd = -EAGAIN;
  for (int tries = 0; fd == -EAGAIN && tries < 128; tries++) {
    fd = sys(__NR_openat2, root, *path ? path : ".", &how, sizeof how);
  }
  return check(at, kStepOpenat2, path, fd);
}

namespace {

// Copies the first `length` bytes of a path; false when it does not fit.
bool copy_path(char (&to)[kPathBytesMax + 1], const char* path, size_t length) {
  if (length > kPathBytesMax) return false;
  memcpy(to, path, length);
  to[length] = 0;
  return true;
}

// The length of a path without its trailing slashes.
size_t trimmed(const char* path) {
  size_t length = strlen(path);
  while (length > 0 && path[length - 1] == '/') length--;
  return length;
}

// Opens the directory `path` below root; makes each missing component inside the one above it.
int open_or_make(Where& at, int root, char* path) {
  int found = open_below(at, root, path, O_PATH | O_DIRECTORY);
  if (found != -ENOENT) return found;
  Fd above(open_below(at, root, "", O_PATH | O_DIRECTORY));
  char* name = path;
  while (above.ok() && *name) {
    char* end = name;
    while (*end && *end != '/') end++;
    char kept = *end;
    *end = 0;
    if (*name) {
      Fd next(open_below(at, root, path, O_PATH | O_DIRECTORY));
      if (next.get() == -ENOENT) {
        long made = sys(__NR_mkdirat, above.get(), name, 0755);
        if (made < 0 && made != -EEXIST) return check(at, kStepMkdirat, made);
        next = Fd(open_below(at, root, path, O_PATH | O_DIRECTORY));
      }
      if (!next.ok()) return next.get();
      above = static_cast<Fd&&>(next);
    }
    *end = kept;
    name = kept ? end + 1 : end;
  }
  return above.release();
}

}  // namespace

int open_parent(Where& at, int root, const char* path, const char** last) {
  // One static buffer would do in the init, but the addon calls us from several threads.
  char parent[kPathBytesMax + 1];
  at.detail = path;
  size_t length = trimmed(path), slash = length;
  while (slash > 0 && path[slash - 1] != '/') slash--;
  size_t name = length - slash;
  if (length != strlen(path) || name == 0 || (name == 1 && path[slash] == '.') ||
      (name == 2 && path[slash] == '.' && path[slash + 1] == '.')) {
    return check(at, kStepOpenat2, -EINVAL);
  }
  if (!copy_path(parent, path, slash)) return check(at, kStepOpenat2, -ENAMETOOLONG);
  *last = path + slash;
  int fd = open_or_make(at, root, parent);
  at.detail = path;
  return fd;
}

int make_directory(Where& at, int root, const char* path, uint32_t mode) {
  char whole[kPathBytesMax + 1];
  if (!copy_path(whole, path, trimmed(path))) return check(at, kStepMkdirat, path, -ENAMETOOLONG);
  const char* last;
  Fd parent(open_parent(at, root, whole, &last));
  at.detail = path;  // not `whole`: it ends with this function
  if (!parent.ok()) return parent.get();
  long made = sys(__NR_mkdirat, parent.get(), last, mode);
  if (made < 0 && made != -EEXIST) return check(at, kStepMkdirat, made);
  return open_below(at, root, path, O_PATH | O_DIRECTORY);
}

int mount_point(Where& at, int root, const char* path, bool directory) {
  int found = open_below(at, root, path, O_PATH);
  if (found != -ENOENT) return found;
  if (directory) return make_directory(at, root, path, 0755);
  const char* last;
  Fd parent(open_parent(at, root, path, &last));
  if (!parent.ok()) return parent.get();
  long made = sys(__NR_openat, parent.get(), last, O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (made >= 0) Fd(static_cast<int>(made)).reset();
  if (made < 0 && made != -EEXIST) return check(at, kStepOpenat2, path, made);
  return open_below(at, root, path, O_PATH);
}

int type_of(Where& at, int fd) {
  struct statx st;
  long r = sys(__NR_statx, fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &st);
  return r < 0 ? check(at, kStepFstat, r) : st.stx_mode & kTypeBits;
}

}  // namespace runts
