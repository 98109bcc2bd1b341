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

// Reads the link `name`, which is the last component of `path` and lies in `above`, as a path below the root.
int read_link(Where& at, int above, const char* path, const char* name, char (&to)[kPathBytesMax + 1]) {
  char target[kPathBytesMax + 1];
  long n = sys(__NR_readlinkat, above, name, target, sizeof target - 1);
  // Not a link: what was there went away between two looks.
  if (n < 0) return check(at, kStepOpenat2, n == -EINVAL ? -ENOENT : n);
  target[n] = 0;
  size_t length = trimmed(target), before = *target == '/' ? 0 : static_cast<size_t>(name - path);
  if (before + length > kPathBytesMax) return check(at, kStepOpenat2, -ENAMETOOLONG);
  memcpy(to, path, before);
  memcpy(to + before, target, length);
  to[before + length] = 0;
  return 0;
}

// What is to be made where nothing is. A link on the way that leads to nothing is made to lead somewhere: inside the
// root, as all links are read; images have such in /etc/resolv.conf and /var/run.
struct Making {
  bool directory;
  uint32_t mode;
  uint64_t resolve;
};

// Links that lead to nothing, one after the other; a longer chain is ELOOP.
constexpr int kLinksMax = 8, kMakeNothing = -1;

// Opens the directory `path` below root; makes each missing component inside the one above it. Writes to `path`, and
// leaves it as it was.
int open_or_make(Where& at, int root, char* path, uint64_t resolve, int links) {
  int found = open_below(at, root, path, O_PATH | O_DIRECTORY, 0, resolve);
  if (found != -ENOENT || links == kMakeNothing) return found;
  Fd above(open_below(at, root, "", O_PATH | O_DIRECTORY));
  char* name = path;
  while (above.ok() && *name) {
    char* end = name;
    while (*end && *end != '/') end++;
    char kept = *end;
    *end = 0;
    if (*name) {
      Fd next(open_below(at, root, path, O_PATH | O_DIRECTORY, 0, resolve));
      if (next.get() == -ENOENT) {
        long made = sys(__NR_mkdirat, above.get(), name, 0755);
        if (made < 0 && made != -EEXIST) return check(at, kStepMkdirat, made);
        next = Fd(open_below(at, root, path, O_PATH | O_DIRECTORY, 0, resolve));
        if (next.get() == -ENOENT && made == -EEXIST) {
          char target[kPathBytesMax + 1];
          int r = links == 0 ? check(at, kStepOpenat2, -ELOOP) : read_link(at, above.get(), path, name, target);
          if (r < 0) return r;
          next = Fd(open_or_make(at, root, target, resolve, links - 1));
        }
      }
      if (!next.ok()) return next.get();
      above = static_cast<Fd&&>(next);
    }
    *end = kept;
    name = kept ? end + 1 : end;
  }
  return above.release();
}

// The length of the part of a path before its last component, or -EINVAL when that is none that could be made.
long length_above(const char* path) {
  size_t length = trimmed(path), slash = length;
  while (slash > 0 && path[slash - 1] != '/') slash--;
  const char* name = path + slash;
  bool dots = name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0));
  return length != strlen(path) || slash == length || dots ? -EINVAL : static_cast<long>(slash);
}

int open_above(Where& at, int root, const char* path, const char** last, uint64_t resolve, int links) {
  // One static buffer would do in the init, but the addon calls us from several threads.
  char above[kPathBytesMax + 1];
  at.detail = path;
  long length = length_above(path);
  if (length < 0) return check(at, kStepOpenat2, length);
  if (!copy_path(above, path, static_cast<size_t>(length))) return check(at, kStepOpenat2, -ENAMETOOLONG);
  *last = path + length;
  int fd = open_or_make(at, root, above, resolve, links);
  at.detail = path;  // not `above`: it ends with this function
  return fd;
}

int make_file_at(int dir, const char* name, uint32_t mode) {
  int fd = static_cast<int>(sys(__NR_openat, dir, name, O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (fd < 0) return fd;
  Fd(fd).reset();
  return 0;
}

// Opens what is at a path, and makes it first when nothing is there.
int make_entry(Where& at, int root, const char* path, const Making& what, int links) {
  const char* last = path;
  Fd above(open_above(at, root, path, &last, what.resolve, links));
  if (!above.ok()) return above.get();
  long made = what.directory ? sys(__NR_mkdirat, above.get(), last, what.mode)
                             : make_file_at(above.get(), last, what.mode);
  if (made < 0 && made != -EEXIST) return check(at, what.directory ? kStepMkdirat : kStepOpen, made);
  uint64_t flags = static_cast<uint64_t>(O_PATH) | (what.directory ? O_DIRECTORY : 0);
  int found = open_below(at, root, path, flags, 0, what.resolve);
  at.detail = path;
  if (found != -ENOENT || made != -EEXIST) return found;
  char target[kPathBytesMax + 1];
  int r = links == 0 ? check(at, kStepOpenat2, -ELOOP) : read_link(at, above.get(), path, last, target);
  if (r < 0) return r;
  found = make_entry(at, root, target, what, links - 1);
  at.detail = path;
  return found;
}

}  // namespace

int open_parent(Where& at, int root, const char* path, const char** last) {
  return open_above(at, root, path, last, 0, kLinksMax);
}

int find_parent(Where& at, int root, const char* path, const char** last) {
  return open_above(at, root, path, last, 0, kMakeNothing);
}

int make_directory(Where& at, int root, const char* path, uint32_t mode, uint64_t resolve) {
  char whole[kPathBytesMax + 1];
  if (!copy_path(whole, path, trimmed(path))) return check(at, kStepMkdirat, path, -ENAMETOOLONG);
  int fd = make_entry(at, root, whole, Making{true, mode, resolve}, kLinksMax);
  at.detail = path;  // not `whole`
  return fd;
}

int mount_point(Where& at, int root, const char* path, bool directory, uint64_t resolve) {
  int found = open_below(at, root, path, O_PATH, 0, resolve);
  if (found != -ENOENT) return found;
  if (directory) return make_directory(at, root, path, 0755, resolve);
  return make_entry(at, root, path, Making{false, 0644, resolve}, kLinksMax);
}

int type_of(Where& at, int fd) {
  struct statx st;
  long r = sys(__NR_statx, fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &st);
  return r < 0 ? check(at, kStepFstat, r) : st.stx_mode & kTypeBits;
}

bool is_null_device(int fd) {
  struct statx st;
  if (sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0) return false;
  return (st.stx_mode & kTypeBits) == kCharacter && st.stx_rdev_major == 1 && st.stx_rdev_minor == 3;
}

}  // namespace runts
