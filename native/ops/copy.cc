#include "copy.h"

#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <string.h>

#include "dirent.h"
#include "files.h"
#include "path.h"

namespace runts {

namespace {

constexpr int kDepthMax = 16384, kLinkBytes = 4096;
constexpr uint32_t kSetIds = 06000;  // S_ISUID | S_ISGID

char name_of_failure[256];

// Where we are to find our way back to, and go on: ".." is believed only if it is the directory that we came from.
struct Level {
  uint64_t source, target, source_device, target_device;
  int64_t next;
};
Level levels[kDepthMax];

int status_of(Where& at, int fd, struct statx* st) {
  return check(at, kStepFstat, sys(__NR_statx, fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, st));
}

uint64_t device_of(const struct statx& st) { return static_cast<uint64_t>(st.stx_dev_major) << 32 | st.stx_dev_minor; }

long open_entry(int dir, const char* name, uint64_t flags) {
  struct open_how how = {};
  how.flags = flags | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS;
  return sys(__NR_openat2, dir, name, &how, sizeof how);
}

// Whether a failure says only that we may not set what was asked for.
bool is_denied(long r) { return r == -EPERM || r == -EINVAL || r == -EOVERFLOW || r == -EOPNOTSUPP || r == -EACCES; }

// What we may not set, or the file system does not know, is left out; so is what is longer than we have room for.
void copy_attributes(int from, int to) {
  static char names[4096], value[4096];
  long size = sys(__NR_flistxattr, from, names, sizeof names);
  for (long i = 0; i < size; i += static_cast<long>(strlen(names + i)) + 1) {
    long n = sys(__NR_fgetxattr, from, names + i, value, sizeof value);
    if (n >= 0) (void)sys(__NR_fsetxattr, to, names + i, value, n, 0);
  }
}

struct Times {
  int64_t access_s, access_ns, change_s, change_ns;
  explicit Times(const struct statx& st)
      : access_s(st.stx_atime.tv_sec), access_ns(st.stx_atime.tv_nsec),
        change_s(st.stx_mtime.tv_sec), change_ns(st.stx_mtime.tv_nsec) {}
};

// Owner, attributes, mode and times of a file or directory that we hold open, in the order in which the kernel does not
// take back what came before. One that keeps its old owner is not to lend that owner's rights.
int finish(Where& at, int from, int to, const struct statx& st) {
  long owned = sys(__NR_fchown, to, st.stx_uid, st.stx_gid);
  if (owned < 0 && !is_denied(owned)) return check(at, kStepFchownat, owned);
  copy_attributes(from, to);
  uint32_t mode = st.stx_mode & (owned < 0 ? 07777u & ~kSetIds : 07777u);
  int r = check(at, kStepFchmodat, sys(__NR_fchmod, to, mode));
  Times times(st);
  return r < 0 ? r : check(at, kStepCopy, sys(__NR_utimensat, to, nullptr, &times, 0));
}

// The same for what cannot be opened without doing something to it.
int finish_entry(Where& at, int dir, const char* name, const struct statx& st, bool has_mode) {
  long owned = sys(__NR_fchownat, dir, name, st.stx_uid, st.stx_gid, AT_SYMLINK_NOFOLLOW);
  if (owned < 0 && !is_denied(owned)) return check(at, kStepFchownat, owned);
  // Its name is ours alone: what is copied into is nobody else's yet.
  int r = has_mode ? check(at, kStepFchmodat, sys(__NR_fchmodat, dir, name, st.stx_mode & 07777u)) : 0;
  Times times(st);
  return r < 0 ? r : check(at, kStepCopy, sys(__NR_utimensat, dir, name, &times, AT_SYMLINK_NOFOLLOW));
}

// Copies so many bytes at one offset of both.
long copy_range(int from, int to, int64_t at, int64_t end) {
  long r = sys(__NR_lseek, to, at, 0);
  while (r >= 0 && at < end) {
    r = sys(__NR_sendfile, to, from, &at, end - at);
    if (r == 0) break;  // it has become shorter
  }
  return r;
}

// As much as it had when we looked, and its holes as holes: what is mostly holes would not fit elsewhere. Where the file
// system lets files share what they have until one of them changes, no byte of it is copied.
int copy_content(Where& at, int from, int to, int64_t size) {
  constexpr uint32_t kClone = 0x40049409;  // FICLONE
  if (sys(__NR_ioctl, to, kClone, from) >= 0) return 0;
  constexpr int kData = 3, kHole = 4;  // SEEK_DATA, SEEK_HOLE
  for (int64_t offset = 0; offset < size;) {
    long data = sys(__NR_lseek, from, offset, kData);
    if (data == -ENXIO) break;
    if (data < offset) data = offset;  // nothing like it there, or an answer that would have us go in circles
    long hole = sys(__NR_lseek, from, data, kHole);
    if (hole <= data || hole > size) hole = size;
    long r = copy_range(from, to, data, hole);
    if (r < 0) return check(at, kStepCopy, r);
    offset = hole;
  }
  return check(at, kStepCopy, sys(__NR_ftruncate, to, size));
}

// Depth first, with two open directories however deep it goes.
class Copier {
 public:
  Copier(Where& at, int source, int target) : at_(at) {
    from_ = Fd(check(at, kStepOpen, sys(__NR_openat, source, ".", kRead)));
    to_ = Fd(check(at, kStepOpen, sys(__NR_openat, target, ".", kRead)));
  }

  int run() {
    if (!from_.ok() || !to_.ok()) return from_.ok() ? to_.get() : from_.get();
    int r = 0;
    while (r >= 0 && depth_ >= 0) r = read_on();
    return r < 0 ? r : 0;
  }

 private:
  enum { kRead = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW };

  // Copies entries of the present directory until one of them is a directory, which becomes the present one, or until
  // there are no more, and the one above does.
  int read_on() {
    for (;;) {
      alignas(8) char buffer[4096];
      long n = sys(__NR_getdents64, from_.get(), buffer, sizeof buffer);
      if (n < 0) return check(at_, kStepGetdents, n);
      if (n == 0) return ascend();
      for (long i = 0; i < n;) {
        auto* entry = reinterpret_cast<const Dirent*>(buffer + i);
        i += entry->size;
        if (is_dot(entry->name)) continue;
        int r = copy(entry->name, entry->next);
        if (r < 0) remember(entry->name);
        if (r != 0) return r;
      }
    }
  }

  // 1: it is a directory, and the present one. 0: it is done.
  int copy(const char* name, int64_t next) {
    Fd entry(static_cast<int>(open_entry(from_.get(), name, O_PATH)));
    if (entry.get() == -ENOENT) return 0;
    // Somebody's mount: an empty place for it.
    if (entry.get() == -EXDEV) return made(sys(__NR_mkdirat, to_.get(), name, 0755), kStepMkdirat);
    if (!entry.ok()) return check(at_, kStepOpenat2, entry.get());
    struct statx st;
    int r = status_of(at_, entry.get(), &st);
    if (r < 0) return r;
    switch (st.stx_mode & kTypeBits) {
      case kDirectory: return descend(entry.get(), name, next);
      case kRegular: return copy_file(name);
      case kLink: return copy_link(entry.get(), name, st);
      default: return copy_node(name, st);
    }
  }

  int copy_file(const char* name) {
    // O_NONBLOCK: should it be a fifo by now.
    Fd from(check(at_, kStepOpenat2, open_entry(from_.get(), name, O_RDONLY | O_NONBLOCK | O_NOCTTY)));
    if (!from.ok()) return from.get() == -ENOENT ? 0 : from.get();
    struct statx st;
    int r = status_of(at_, from.get(), &st);
    if (r < 0) return r;
    if ((st.stx_mode & kTypeBits) != kRegular) return 0;
    constexpr int kMake = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    Fd to(check(at_, kStepOpen, sys(__NR_openat, to_.get(), name, kMake, 0600)));
    if (!to.ok()) return to.get() == -EEXIST ? 0 : to.get();
    r = copy_content(at_, from.get(), to.get(), static_cast<int64_t>(st.stx_size));
    return r < 0 ? r : finish(at_, from.get(), to.get(), st);
  }

  int copy_link(int link, const char* name, const struct statx& st) {
    char target[kLinkBytes + 1];
    long n = sys(__NR_readlinkat, link, "", target, kLinkBytes);
    if (n < 0) return check(at_, kStepCopy, n);
    target[n] = 0;
    long r = sys(__NR_symlinkat, target, to_.get(), name);
    return r < 0 ? made(r, kStepSymlinkat) : finish_entry(at_, to_.get(), name, st, false);
  }

  int copy_node(const char* name, const struct statx& st) {
    long r = sys(__NR_mknodat, to_.get(), name, st.stx_mode, device_number(st.stx_rdev_major, st.stx_rdev_minor));
    if (r == -EPERM) return 0;  // a device, in a user namespace
    return r < 0 ? made(r, kStepMknodat) : finish_entry(at_, to_.get(), name, st, true);
  }

  int made(long r, Step step) { return check(at_, step, r == -EEXIST ? 0 : r); }

  int descend(int entry, const char* name, int64_t next) {
    if (depth_ + 1 == kDepthMax) return check(at_, kStepCopy, -ENAMETOOLONG);
    Fd from(check(at_, kStepOpen, sys(__NR_openat, entry, ".", kRead)));
    if (!from.ok()) return from.get();
    int r = made(sys(__NR_mkdirat, to_.get(), name, 0700), kStepMkdirat);
    if (r < 0) return r;
    Fd to(check(at_, kStepOpenat2, open_entry(to_.get(), name, kRead)));
    if (!to.ok()) return to.get() == -ELOOP || to.get() == -ENOTDIR ? 0 : to.get();  // something else was there
    struct statx source, target;
    r = status_of(at_, from_.get(), &source);
    if (r >= 0) r = status_of(at_, to_.get(), &target);
    if (r < 0) return r;
    levels[depth_++] = {source.stx_ino, target.stx_ino, device_of(source), device_of(target), next};
    from_ = static_cast<Fd&&>(from);
    to_ = static_cast<Fd&&>(to);
    return 1;
  }

  // Back to the directory above, at the entry after the one that we come from. The topmost keeps what it has: it is not
  // a copy.
  int ascend() {
    if (depth_ == 0) {
      depth_ = -1;
      return 0;
    }
    // Before the mode is set, which may keep us from looking for the way up.
    const Level& level = levels[--depth_];
    Fd from(above(from_.get(), level.source, level.source_device));
    if (!from.ok()) return from.get();
    Fd to(above(to_.get(), level.target, level.target_device));
    if (!to.ok()) return to.get();
    struct statx st;
    int r = status_of(at_, from_.get(), &st);
    if (r >= 0) r = finish(at_, from_.get(), to_.get(), st);
    if (r < 0) return r;
    from_ = static_cast<Fd&&>(from);
    to_ = static_cast<Fd&&>(to);
    long moved = sys(__NR_lseek, from_.get(), level.next, 0);  // an offset of a directory may be any number
    return moved < 0 ? check(at_, kStepCopy, moved) : 0;
  }

  // -ESTALE: somebody has moved the directory that we were in.
  int above(int dir, uint64_t inode, uint64_t device) {
    Fd found(check(at_, kStepOpen, sys(__NR_openat, dir, "..", kRead)));
    if (!found.ok()) return found.get();
    struct statx st;
    int r = status_of(at_, found.get(), &st);
    if (r < 0) return r;
    bool same = st.stx_ino == inode && device_of(st) == device;
    return same ? found.release() : check(at_, kStepCopy, -ESTALE);
  }

  void remember(const char* name) {
    size_t length = strlen(name);
    if (length >= sizeof name_of_failure) length = sizeof name_of_failure - 1;
    memcpy(name_of_failure, name, length);
    name_of_failure[length] = 0;
    at_.detail = name_of_failure;
  }

  Where& at_;
  Fd from_, to_;
  int depth_ = 0;
};

}  // namespace

int copy_tree(Where& at, int source, int target) { return Copier(at, source, target).run(); }

}  // namespace runts
