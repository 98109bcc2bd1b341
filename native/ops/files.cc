#include "files.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>

#include "dirent.h"
#include "path.h"

namespace runts {

int make_symlink(Where& at, int root, const char* path, const char* target) {
  const char* last;
  Fd parent(open_parent(at, root, path, &last));
  if (!parent.ok()) return parent.get();
  long made = sys(__NR_symlinkat, target, parent.get(), last);
  return check(at, kStepSymlinkat, path, made == -EEXIST ? 0 : made);
}

namespace {

int write_once(Where& at, int fd, const void* content, size_t size) {
  long written = sys(__NR_write, fd, content, size);
  if (written < 0) return check(at, kStepWrite, written);
  return static_cast<size_t>(written) == size ? 0 : check(at, kStepWrite, -EIO);
}

}  // namespace

int make_file(Where& at, int root, const char* path, uint32_t mode, const void* content, size_t size) {
  const char* last;
  Fd parent(open_parent(at, root, path, &last));
  if (!parent.ok()) return parent.get();
  Fd file(check(at, kStepOpen, path,
                sys(__NR_openat, parent.get(), last, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode)));
  if (!file.ok()) return file.get();
  return size == 0 ? 0 : write_once(at, file.get(), content, size);
}

namespace {

// What a container before us may have left where it had a device: the file that one was mounted on.
bool is_mount_point(int dir, const char* name) {
  struct statx st;
  if (sys(__NR_statx, dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_SIZE, &st) < 0) return false;
  return (st.stx_mode & kTypeBits) == kRegular && st.stx_size == 0;
}

bool is_node(int dir, const char* name, const Node& node) {
  struct statx st;
  if (sys(__NR_statx, dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) < 0) return false;
  int type = static_cast<int>(node.mode) & kTypeBits;
  if ((st.stx_mode & kTypeBits) != type) return false;
  return type == kFifo || (st.stx_rdev_major == node.major && st.stx_rdev_minor == node.minor);
}

}  // namespace

int make_node(Where& at, int root, const char* path, const Node& node) {
  const char* last;
  Fd parent(open_parent(at, root, path, &last));
  if (!parent.ok()) return parent.get();
  // A larger one would be another device.
  if (node.major > 0xfff || node.minor > 0xfffff) return check(at, kStepMknodat, path, -EINVAL);
  uint32_t device = device_number(node.major, node.minor);
  long made = sys(__NR_mknodat, parent.get(), last, node.mode, device);
  // What is there already, and is the same, is left as it is.
  if (made == -EEXIST && is_node(parent.get(), last, node)) return 0;
  if (made == -EEXIST && is_mount_point(parent.get(), last)) made = -EBUSY;
  int r = check(at, kStepMknodat, path, made);
  if (r < 0) return r;
  return check(at, kStepFchownat,
               sys(__NR_fchownat, parent.get(), last, node.uid, node.gid, AT_SYMLINK_NOFOLLOW));
}

int write_file(Where& at, int root, const char* path, const void* content, size_t size) {
  // Neither waits for the reader of a fifo nor takes a terminal for its own: the image may have put one there.
  Fd file(open_below(at, root, path, O_WRONLY | O_NONBLOCK | O_NOCTTY));
  return file.ok() ? write_once(at, file.get(), content, size) : file.get();
}

int change_owner(Where& at, int root, const char* path, uint32_t uid, uint32_t gid) {
  Fd entry(open_below(at, root, path, O_PATH | O_NOFOLLOW));
  if (!entry.ok()) return entry.get();
  return check(at, kStepFchownat, sys(__NR_fchownat, entry.get(), "", uid, gid, AT_EMPTY_PATH));
}

int inherit(Where& at, int mount, int root, const char* path, bool owner) {
  Fd covered(open_below(at, root, path, O_PATH | O_DIRECTORY));
  if (!covered.ok()) return covered.get();
  struct statx st;
  long r = sys(__NR_statx, covered.get(), "", AT_EMPTY_PATH, STATX_MODE | STATX_UID | STATX_GID, &st);
  if (r < 0) return check(at, kStepFstat, path, r);
  // What stands for a mount is no descriptor that could change anything.
  Fd top(open_below(at, mount, "", O_RDONLY | O_DIRECTORY));
  if (!top.ok()) return top.get();
  // An owner that is not mapped cannot be given; then it is ours, as it would be without.
  if (owner) (void)sys(__NR_fchown, top.get(), st.stx_uid, st.stx_gid);
  return check(at, kStepFchmodat, path, sys(__NR_fchmod, top.get(), st.stx_mode & 07777));
}

int change_mode(Where& at, int root, const char* path, uint32_t mode) {
  constexpr long kFchmodat2 = 452;  // Linux 6.6
  Fd entry(open_below(at, root, path, O_PATH | O_NOFOLLOW));
  int type = entry.ok() ? type_of(at, entry.get()) : entry.get();
  if (type < 0) return type;
  if (type == kLink) return check(at, kStepFchmodat, -ELOOP);
  // To open a device may already do something to it.
  if (type != kDirectory && type != kRegular && type != kFifo) {
    return check(at, kStepFchmodat, sys(kFchmodat2, entry.get(), "", mode, AT_EMPTY_PATH));
  }
  // O_NONBLOCK: not to wait for a fifo's other end.
  Fd file(open_below(at, root, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  if (!file.ok()) return file.get();
  return check(at, kStepFchmodat, sys(__NR_fchmod, file.get(), mode));
}

namespace {


// Removes a file or an empty directory.
long unlink_any(int dir, const char* name) {
  long r = sys(__NR_unlinkat, dir, name, 0);
  if (r != -EISDIR && r != -EPERM) return r;
  long directory = sys(__NR_unlinkat, dir, name, AT_REMOVEDIR);
  return directory == -ENOTDIR ? r : directory;  // a file after all, and one that may not go
}

// Depth first without recursion. A tree may be deeper than we have descriptors: what lies at the bottom of our stack is
// renamed up to the top, where its turn comes later.
class Remover {
 public:
  Remover(Where& at, int top) : at_(at) { stack_[0] = Fd(top); }

  // Empties the top directory.
  int run() {
    int r = 0;
    while (r >= 0 && depth_ >= 0) r = step();
    return r < 0 ? r : 0;
  }

 private:
  enum { kDepth = 32 };

  // Removes one entry of the deepest open directory, or goes one down or up.
  int step() {
    int dir = stack_[depth_].get();
    (void)sys(__NR_lseek, dir, 0, 0);
    for (;;) {
      alignas(8) char buffer[4096];
      long n = sys(__NR_getdents64, dir, buffer, sizeof buffer);
      if (n < 0) return check(at_, kStepGetdents, n);
      if (n == 0) break;
      for (long i = 0; i < n;) {
        auto* entry = reinterpret_cast<Dirent*>(buffer + i);
        i += entry->size;
        if (is_dot(entry->name)) continue;
        int r = remove(dir, entry->name);
        if (r != 0) return r < 0 ? r : 0;
      }
    }
    // Nothing is left in it: back to the one above, where it is found again, empty.
    stack_[depth_--].reset();
    return 0;
  }

  // 0: the entry is gone. 1: we went down into it, or moved it. Negative: an error.
  int remove(int dir, const char* name) {
    long r = unlink_any(dir, name);
    if (r == -ENOTEMPTY || r == -EEXIST) return descend(dir, name);
    return r < 0 && r != -ENOENT ? check(at_, kStepUnlinkat, r) : 0;
  }

  int descend(int dir, const char* name) {
    if (depth_ + 1 == kDepth) return raise(dir, name);
    struct open_how how = {};
    how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
    int fd = check(at_, kStepOpenat2, sys(__NR_openat2, dir, name, &how, sizeof how));
    if (fd < 0) return fd;
    stack_[++depth_] = Fd(fd);
    return 1;
  }

  int raise(int dir, const char* name) {
    char to[] = ".runts-0000000000000000";
    for (uint64_t n = raised_++, i = sizeof to - 2; n; n /= 10) to[i--] = static_cast<char>('0' + n % 10);
    long r = sys(__NR_renameat2, dir, name, stack_[0].get(), to, 1 /* RENAME_NOREPLACE */);
    if (r == -EEXIST) return 1;  // the next number is free
    return r < 0 ? check(at_, kStepUnlinkat, r) : 1;
  }

  Where& at_;
  Fd stack_[kDepth];
  int depth_ = 0;
  uint64_t raised_ = 0;
};

}  // namespace

int empty_directory(Where& at, int directory) { return Remover(at, directory).run(); }

int remove_file(Where& at, int directory, const char* name) {
  long r = sys(__NR_unlinkat, directory, name, 0);
  return r == -ENOENT ? 0 : check(at, kStepUnlinkat, name, r);
}

int remove_tree(Where& at, int root, const char* path) {
  const char* last;
  Fd parent(find_parent(at, root, path, &last));
  if (!parent.ok()) return parent.get() == -ENOENT ? 0 : parent.get();
  long r = unlink_any(parent.get(), last);
  if (r == 0 || r == -ENOENT) return 0;
  if (r != -ENOTEMPTY && r != -EEXIST) return check(at, kStepUnlinkat, path, r);
  int top = open_below(at, parent.get(), last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, kNoMounts);
  if (top < 0) return top;
  int emptied = empty_directory(at, top);
  at.detail = path;
  if (emptied < 0) return emptied;
  r = sys(__NR_unlinkat, parent.get(), last, AT_REMOVEDIR);
  return r == -ENOENT ? 0 : check(at, kStepUnlinkat, r);
}

}  // namespace runts
