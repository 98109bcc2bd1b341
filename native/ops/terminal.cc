#include "terminal.h"

#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <linux/stat.h>
#include <asm/ioctls.h>
#include <asm/termbits.h>

#include "path.h"

namespace runts {

namespace {

// Whether it is the ptmx of a devpts, whatever the container has mounted or made there. Looked at before it is opened: to
// open a device can have effects.
int expect_ptmx(Where& at, int fd) {
  struct {  // the head of struct statfs is one word on 64-bit: f_type
    uint64_t type, rest[31];
  } fs;
  struct statx st;
  int r = check(at, kStepFstat, sys(__NR_fstatfs, fd, &fs));
  if (r >= 0) r = check(at, kStepFstat, sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st));
  if (r < 0) return r;
  bool is_character = (st.stx_mode & kTypeBits) == kCharacter;
  bool is_ptmx = fs.type == DEVPTS_SUPER_MAGIC && is_character && st.stx_rdev_major == 5 && st.stx_rdev_minor == 2;
  return is_ptmx ? 0 : check(at, kStepOpenat2, -ENOTTY);
}

}  // namespace

int open_pty(Where& at, int devpts, int* master, int* slave) {
  Fd seen(open_below(at, devpts, "ptmx", O_PATH | O_NOFOLLOW, 0, kNoMounts));
  if (!seen.ok()) return seen.get();
  int r = expect_ptmx(at, seen.get());
  if (r < 0) return r;
  Fd opened(open_below(at, devpts, "ptmx", O_RDWR | O_NOCTTY | O_NOFOLLOW, 0, kNoMounts));
  if (!opened.ok()) return opened.get();
  if ((r = expect_ptmx(at, opened.get())) < 0) return r;
  int unlocked = 0;
  r = check(at, kStepIoctl, sys(__NR_ioctl, opened.get(), TIOCSPTLCK, &unlocked));
  if (r < 0) return r;
  int peer = check(at, kStepIoctl, sys(__NR_ioctl, opened.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (peer < 0) return peer;
  *master = opened.release();
  *slave = peer;
  return 0;
}

int plain_output(Where& at, int terminal) {
  struct termios mode;
  int r = check(at, kStepIoctl, sys(__NR_ioctl, terminal, TCGETS, &mode));
  if (r < 0) return r;
  mode.c_oflag &= ~static_cast<tcflag_t>(ONLCR);
  return check(at, kStepIoctl, sys(__NR_ioctl, terminal, TCSETS, &mode));
}

int set_window(Where& at, int terminal, uint32_t columns, uint32_t rows) {
  struct {
    uint16_t rows, columns, x, y;
  } size = {static_cast<uint16_t>(rows), static_cast<uint16_t>(columns), 0, 0};
  return check(at, kStepIoctl, sys(__NR_ioctl, terminal, TIOCSWINSZ, &size));
}

int controlling_terminal(Where& at, int terminal) {
  return check(at, kStepIoctl, sys(__NR_ioctl, terminal, TIOCSCTTY, 0));
}

namespace {

// The container's own null device, or nothing where it is none. The host's has the host's root as its owner, and a
// container without a user namespace could change its mode.
Fd own_null() {
  constexpr uint64_t kFlags[] = {O_PATH, O_RDWR | O_NOCTTY};  // looked at before it is opened
  Fd found;
  for (uint64_t flags : kFlags) {
    struct open_how how = {};
    how.flags = flags | O_CLOEXEC;
    how.resolve = RESOLVE_NO_SYMLINKS;
    found.reset(static_cast<int>(sys(__NR_openat2, AT_FDCWD, "/dev/null", &how, sizeof how)));
    if (!found.ok() || !is_null_device(found.get())) return Fd();
  }
  return found;
}

}  // namespace

int set_stdio(Where& at, int in, int out, int error) {
  const int from[3] = {in, out, error};
  for (int to = 0; to < 3; to++) {
    // `run … < /` would hand the host's tree over, by way of /proc/self/fd/0.
    int type = type_of(at, from[to]);
    if (type < 0) return type;
    if (type == kDirectory) return check(at, kStepDup3, -EISDIR);
    Fd null(is_null_device(from[to]) ? own_null() : Fd());
    int r = check(at, kStepDup3, sys(__NR_dup3, null.ok() ? null.get() : from[to], to, 0));
    if (r < 0) return r;
  }
  return 0;
}

namespace {

// Pipes and pseudo-terminals (majors 136 to 143, their slaves), which are made for one container. Any other file has an
// owner already: /dev/null as stdin is the host's own (CVE-2026-88265).
bool may_be_given(int fd) {
  struct statx st;
  if (sys(__NR_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &st) < 0) return false;
  int type = st.stx_mode & kTypeBits;
  return type == kFifo || (type == kCharacter && st.stx_rdev_major >= 136 && st.stx_rdev_major <= 143);
}

}  // namespace

int give_to(Where& at, int fd, uint32_t uid, uint32_t gid) {
  if (!may_be_given(fd)) return check(at, kStepFchownat, -EPERM);
  return check(at, kStepFchownat, sys(__NR_fchown, fd, uid, gid));
}

}  // namespace runts
