#include "mounts.h"

#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>
#include <string.h>

#include "path.h"

namespace runts {

namespace {

// Reads what the kernel has to say about a failed fsconfig: "e tmpfs: Bad value for 'size'".
void read_message(int fs, char* message, size_t size) {
  long n = sys(__NR_read, fs, message, size - 1);
  message[n > 0 ? n : 0] = 0;
  for (char* c = message; *c; c++) {
    if (*c == '\n') *c = 0;
  }
}

bool has_source(const Options& options) {
  constexpr char kSource[] = "source=";
  for (uint32_t i = 0; i < options.count; i++) {
    const char* option = options.at(options.list, i);
    size_t same = 0;
    while (kSource[same] && option[same] == kSource[same]) same++;
    if (!kSource[same]) return true;
  }
  return false;
}

int configure(Where& at, int fs, const char* option) {
  char key[256];  // the kernel takes no longer keys and values here (strndup_user(…, 256))
  size_t length = strlen(option);
  const char* equals = strchr(option, '=');
  size_t key_length = equals ? static_cast<size_t>(equals - option) : length;
  at.detail = option;
  if (key_length >= sizeof key) return check(at, kStepFsconfig, -E2BIG);
  memcpy(key, option, key_length);
  key[key_length] = 0;
  if (equals) return check(at, kStepFsconfig, sys(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, equals + 1, 0));
  return check(at, kStepFsconfig, sys(__NR_fsconfig, fs, FSCONFIG_SET_FLAG, key, nullptr, 0));
}

}  // namespace

int fsmount(Where& at, const char* fstype, const Options& options, uint64_t attributes, char* message, size_t size) {
  at.detail = fstype;
  Fd fs(check(at, kStepFsopen, sys(__NR_fsopen, fstype, FSOPEN_CLOEXEC)));
  if (!fs.ok()) return fs.get();
  // What mount(8) and /proc/mounts show in the first column. Only one is taken, so ours would be in the way of another.
  if (!has_source(options)) (void)sys(__NR_fsconfig, fs.get(), FSCONFIG_SET_STRING, "source", fstype, 0);
  int r = 0;
  for (uint32_t i = 0; i < options.count && r >= 0; i++) r = configure(at, fs.get(), options.at(options.list, i));
  if (r >= 0) {
    at.detail = fstype;
    r = check(at, kStepFsconfigCreate, sys(__NR_fsconfig, fs.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  }
  if (r >= 0) return check(at, kStepFsmount, sys(__NR_fsmount, fs.get(), FSMOUNT_CLOEXEC, attributes));
  read_message(fs.get(), message, size);
  if (*message) at.detail = message;
  return r;
}

int reconfigure(Where& at, int mount, const Options& options, char* message, size_t size) {
  Fd fs(check(at, kStepFspick, sys(__NR_fspick, mount, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)));
  if (!fs.ok()) return fs.get();
  int r = 0;
  for (uint32_t i = 0; i < options.count && r >= 0; i++) r = configure(at, fs.get(), options.at(options.list, i));
  if (r >= 0) {
    r = check(at, kStepFsconfig, "", sys(__NR_fsconfig, fs.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0));
  }
  if (r >= 0) return 0;
  read_message(fs.get(), message, size);
  if (*message) at.detail = message;
  return r;
}

int clone_mount(Where& at, const char* path, bool recursive) {
  uint32_t flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  return check(at, kStepOpenTree, path, sys(__NR_open_tree, AT_FDCWD, path, flags));
}

int clone_below(Where& at, int root, const char* path, bool recursive) {
  Fd source(*path ? open_below(at, root, path, O_PATH) : -1);
  if (*path && !source.ok()) return source.get();
  uint32_t flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return check(at, kStepOpenTree, path, sys(__NR_open_tree, *path ? source.get() : root, "", flags));
}

int mount_attributes(Where& at, int mount, const MountChange& change) {
  struct mount_attr attr = {};
  attr.attr_set = change.set;
  attr.attr_clr = change.clear;
  // The three atime attributes are values of one field: it is cleared whole when one of them is set.
  if (change.set & MOUNT_ATTR__ATIME) attr.attr_clr |= MOUNT_ATTR__ATIME;
  attr.propagation = change.propagation;
  uint32_t flags = AT_EMPTY_PATH | (change.recursive ? AT_RECURSIVE : 0);
  return check(at, kStepMountSetattr, sys(__NR_mount_setattr, mount, "", flags, &attr, sizeof attr));
}

int idmap(Where& at, int mount, int userns, bool recursive) {
  struct mount_attr attr = {};
  attr.attr_set = MOUNT_ATTR_IDMAP;
  attr.userns_fd = static_cast<uint64_t>(userns);
  uint32_t flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  return check(at, kStepMountSetattr, sys(__NR_mount_setattr, mount, "", flags, &attr, sizeof attr));
}

int attach(Where& at, int mount, int root, const char* path, bool ordinary) {
  at.detail = path;
  int type = type_of(at, mount);
  if (type < 0) return type;
  Fd target(mount_point(at, root, path, type == kDirectory, ordinary ? kNoLinks : 0));
  if (!target.ok()) return target.get();
  if (ordinary) {
    int under = type_of(at, target.get());
    if (under != kDirectory) return under < 0 ? under : check(at, kStepOpenat2, path, -ENOTDIR);
  }
  at.detail = path;
  return check(at, kStepMoveMount, sys(__NR_move_mount, mount, "", target.get(), "",
                                       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int attach_host(Where& at, int mount, const char* path) {
  return check(at, kStepMoveMount, path, sys(__NR_move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH));
}

int detach(Where& at, int mount) {
  constexpr uint32_t kDetach = 2;  // MNT_DETACH
  int r = check(at, kStepFchdir, sys(__NR_fchdir, mount));
  return r < 0 ? r : check(at, kStepUmount2, sys(__NR_umount2, ".", kDetach));
}

int set_propagation(Where& at, uint64_t flags, bool recursive) {
  constexpr uint64_t kRecursive = 16384;  // MS_REC
  return check(at, kStepMount, "/",
               sys(__NR_mount, nullptr, "/", nullptr, flags | (recursive ? kRecursive : 0), nullptr));
}

int unmount(Where& at, const char* path, uint32_t flags) {
  return check(at, kStepUmount2, path, sys(__NR_umount2, path, flags));
}

}  // namespace runts
