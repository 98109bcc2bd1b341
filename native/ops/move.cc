// Another way to a new root than pivot_root(2), which an initial ramfs refuses: it cannot be unmounted.
#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <string.h>

#include "mounts.h"
#include "path.h"
#include "root.h"

namespace runts {

namespace {

constexpr uint32_t kDetach = 2, kNoFollow = 8;  // MNT_DETACH, UMOUNT_NOFOLLOW
enum { kTableBytes = 1 << 20 };

char table[kTableBytes];

// Reads the mounts of this namespace, a line for each. Returns the size.
long read_table(Where& at) {
  Fd file(check(at, kStepOpen, "/proc/self/mountinfo",
                sys(__NR_openat, AT_FDCWD, "/proc/self/mountinfo", O_RDONLY | O_CLOEXEC)));
  if (!file.ok()) return file.get();
  long size = 0;
  for (;;) {
    long n = sys(__NR_read, file.get(), table + size, sizeof table - static_cast<size_t>(size));
    if (n < 0) return check(at, kStepCopy, n);
    if (n == 0) return size;
    size += n;
    if (size == sizeof table) return check(at, kStepCopy, -E2BIG);
  }
}

bool is_octal(const char* digits) {
  for (int i = 0; i < 3; i++) {
    if (digits[i] < '0' || digits[i] > (i == 0 ? '3' : '7')) return false;
  }
  return true;
}

// The mount point of a line, its fifth field, with what is written as \040 put back. In place.
char* mount_point_of(char* line) {
  for (int field = 0; field < 4; field++) {
    while (*line && *line != ' ') line++;
    if (*line) line++;
  }
  char *from = line, *to = line;
  while (*from && *from != ' ') {
    if (*from == '\\' && is_octal(from + 1)) {
      *to++ = static_cast<char>((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
      from += 4;
    } else {
      *to++ = *from++;
    }
  }
  *to = 0;
  return line;
}

// Whether a path is another one, or lies below it.
bool is_below(const char* path, const char* other) {
  size_t length = strlen(other);
  for (size_t i = 0; i < length; i++) {
    if (path[i] != other[i]) return false;
  }
  return path[length] == 0 || path[length] == '/';
}

uint64_t file_system_of(int fd) {
  struct {  // the head of struct statfs is one word on 64-bit: f_type
    uint64_t type, rest[31];
  } st;
  return sys(__NR_fstatfs, fd, &st) < 0 ? 0 : st.type;
}

// A procfs or sysfs that stays in sight would let the container mount one that is not masked (mount_namespaces(7)), and
// be a way around its own (CVE-2019-19921). One that is locked to its place goes under an empty directory.
int cover(Where& at, const char* path) {
  Fd target(static_cast<int>(sys(__NR_openat, AT_FDCWD, path, O_PATH | O_NOFOLLOW | O_CLOEXEC)));
  if (!target.ok()) return 0;  // gone with what it was mounted on
  uint64_t type = file_system_of(target.get());
  if (type != PROC_SUPER_MAGIC && type != SYSFS_MAGIC) return 0;
  char message[64];
  Fd empty(fsmount(at, "tmpfs", Options{0, nullptr, nullptr},
                   MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, message,
                   sizeof message));
  if (!empty.ok()) return empty.get();
  return check(at, kStepMoveMount, sys(__NR_move_mount, empty.get(), "", target.get(), "",
                                       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

// Takes away what was mounted outside the new root, the latest first, by the paths that it had before.
int take_away(Where& at, long size, const char* root) {
  for (long end = size; end > 0;) {
    table[end - 1] = 0;
    long begin = end - 1;
    while (begin > 0 && table[begin - 1] != '\n') begin--;
    char* path = mount_point_of(table + begin);
    end = begin;
    bool is_root = path[0] != '/' || path[1] == 0;
    if (is_root || is_below(path, root)) continue;
    if (sys(__NR_umount2, path, kDetach | kNoFollow) >= 0) continue;
    int r = cover(at, path);
    if (r < 0) return r;
  }
  return 0;
}

}  // namespace

int move_root(Where& at, int root) {
  static char where[4096 + 16];
  int r = check(at, kStepFchdir, sys(__NR_fchdir, root));
  if (r < 0) return r;
  long n = sys(__NR_getcwd, where, sizeof where);
  if (n < 0) return check(at, kStepGetcwd, n);
  // It must be attached, as for pivot_root(2), and not be what it is to become: nothing would be above it to take away.
  if (where[0] != '/' || where[1] == 0) return check(at, kStepOutsideRoot, -EINVAL);
  long size = read_table(at);
  if (size < 0) return static_cast<int>(size);
  // Afterwards paths still begin in the old root, until ours changes.
  r = check(at, kStepMoveMount, "/", sys(__NR_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
  if (r >= 0) r = take_away(at, size, where);
  if (r >= 0) r = check(at, kStepChroot, ".", sys(__NR_chroot, "."));
  if (r >= 0) r = check(at, kStepChdir, sys(__NR_chdir, "/"));
  if (r < 0) return r;
  struct statx ours, now;
  r = check(at, kStepFstat, sys(__NR_statx, root, "", AT_EMPTY_PATH, STATX_MNT_ID, &ours));
  if (r >= 0) r = check(at, kStepFstat, sys(__NR_statx, AT_FDCWD, "/..", 0, STATX_MNT_ID, &now));
  if (r < 0) return r;
  return ours.stx_mnt_id == now.stx_mnt_id ? 0 : check(at, kStepOutsideRoot, -EBUSY);
}

}  // namespace runts
