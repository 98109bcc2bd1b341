#include "root.h"

#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "mounts.h"
#include "path.h"

namespace runts {

namespace {

uint64_t mount_id(int dir, const char* path, uint32_t flags) {
  struct statx st;
  return sys(__NR_statx, dir, path, flags, STATX_MNT_ID, &st) < 0 ? 0 : st.stx_mnt_id;
}

}  // namespace

int pivot(Where& at, int root) {
  constexpr uint32_t kDetach = 2;  // MNT_DETACH
  int r = check(at, kStepFchdir, sys(__NR_fchdir, root));
  if (r >= 0) r = check(at, kStepPivotRoot, sys(__NR_pivot_root, ".", "."));
  // The old root now lies over the new one: "." still means it here, and letting go uncovers ours.
  if (r >= 0) r = check(at, kStepUmount2, sys(__NR_umount2, ".", kDetach));
  if (r >= 0) r = check(at, kStepChdir, sys(__NR_chdir, "/"));
  if (r < 0) return r;
  // umount2 takes what is topmost at "/". Had something been stacked on the old root, that would have gone and the old
  // root stayed, one ".." away.
  uint64_t ours = mount_id(root, "", AT_EMPTY_PATH);
  return ours != 0 && mount_id(AT_FDCWD, "/..", 0) == ours ? 0 : check(at, kStepOutsideRoot, -EBUSY);
}

namespace {

int move_onto(Where& at, int mount, int target) {
  return check(at, kStepMoveMount,
               sys(__NR_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

// The null device, in a mount that keeps its mode, owner and times as they are: it is the host's own, and root of a
// container without a user namespace is its owner.
int null_cover(Where& at, int null) {
  Fd cover(clone_below(at, null, "", false));
  if (!cover.ok()) return cover.get();
  constexpr uint64_t kUntouchable = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  int r = mount_attributes(at, cover.get(), MountChange{kUntouchable, 0, 0, false});
  return r < 0 ? r : cover.release();
}

int empty_directory(Where& at) {
  char message[64];
  return fsmount(at, "tmpfs", Options{0, nullptr, nullptr},
                 MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, message, sizeof message);
}

}  // namespace

int mask(Where& at, int root, const char* path, int null) {
  Fd target(open_below(at, root, path, O_PATH));
  if (!target.ok()) return target.get();
  int type = type_of(at, target.get());
  if (type < 0) return type;
  at.detail = path;
  if (type != kDirectory && !is_null_device(null)) return check(at, kStepNullDevice, -EINVAL);
  Fd cover(type == kDirectory ? empty_directory(at) : null_cover(at, null));
  at.detail = path;
  return cover.ok() ? move_onto(at, cover.get(), target.get()) : cover.get();
}

int make_readonly(Where& at, int root, const char* path) {
  Fd target(open_below(at, root, path, O_PATH));
  if (!target.ok()) return target.get();
  Fd copy(clone_below(at, target.get(), "", true));
  at.detail = path;
  if (!copy.ok()) return copy.get();
  int r = mount_attributes(at, copy.get(), MountChange{MOUNT_ATTR_RDONLY, 0, 0, true});
  return r < 0 ? r : move_onto(at, copy.get(), target.get());
}

}  // namespace runts
