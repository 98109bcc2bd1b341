#include "cgroup.h"

#include <linux/fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <string.h>

#include "dirent.h"

namespace runts {

int check_cgroup2(Where& at, int fd) {
  struct {  // the head of struct statfs is one word on 64-bit: f_type
    uint64_t type, rest[31];
  } st;
  long r = sys(__NR_fstatfs, fd, &st);
  if (r < 0) return check(at, kStepFstat, r);
  return st.type == CGROUP2_SUPER_MAGIC ? 0 : check(at, kStepFstat, -EXDEV);
}

namespace {

int open_control(Where& at, int cgroup, const char* path, uint64_t flags) {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return check(at, kStepOpenat2, path, sys(__NR_openat2, cgroup, path, &how, sizeof how));
}

void pause_ms(uint32_t ms) {
  struct {
    int64_t s, ns;
  } time = {0, static_cast<int64_t>(ms) * 1000000};
  (void)sys(__NR_ppoll, nullptr, 0, &time, nullptr, 0);
}

// Removes the cgroups below `dir`, deepest first. Delegated subtrees are shallow: the payload could nest them as deep
// as cgroup.max.depth lets it, so the depth is bounded and the rest reported as busy.
int remove_children(Where& at, int dir, int depth) {
  constexpr uint8_t kIsDirectory = 4;  // DT_DIR
  alignas(8) char buffer[2048];
  for (long n; (n = sys(__NR_getdents64, dir, buffer, sizeof buffer)) > 0;) {
    for (long i = 0; i < n;) {
      auto* entry = reinterpret_cast<Dirent*>(buffer + i);
      i += entry->size;
      if (entry->type != kIsDirectory || entry->name[0] == '.') continue;
      if (depth > 0) {
        Fd child(open_control(at, dir, entry->name, O_RDONLY | O_DIRECTORY));
        if (child.ok()) (void)remove_children(at, child.get(), depth - 1);  // the caller's rmdir tells
      }
      (void)sys(__NR_unlinkat, dir, entry->name, AT_REMOVEDIR);
    }
  }
  return 0;
}

}  // namespace

int write_cgroup(Where& at, int cgroup, const char* file, const void* value, size_t size) {
  int r = check_cgroup2(at, cgroup);
  if (r < 0) return r;
  Fd control(open_control(at, cgroup, file, O_WRONLY));
  if (!control.ok()) return control.get();
  long written = sys(__NR_write, control.get(), value, size);
  return written < 0 ? check(at, kStepWrite, file, written) : 0;
}

int kill_cgroup(Where& at, int parent, const char* name) {
  // `.` and `..` would be the cgroup that we were to find it in, and others.
  if (*name == 0 || *name == '.' || strchr(name, '/')) return check(at, kStepOpenat2, name, -EINVAL);
  long r = -EBUSY;
  for (uint32_t tries = 0, ms = 1; tries < 220; tries++) {
    Fd dir(open_control(at, parent, name, O_RDONLY | O_DIRECTORY));
    if (dir.get() == -ENOENT) return 0;
    if (!dir.ok()) return dir.get();
    r = write_cgroup(at, dir.get(), "cgroup.kill", "1", 1);
    if (r == -ENODEV) continue;  // somebody else has just removed it
    if (r < 0 && r != -ENOENT) return static_cast<int>(r);
    (void)remove_children(at, dir.get(), 16);
    r = sys(__NR_unlinkat, parent, name, AT_REMOVEDIR);
    if (r == 0 || r == -ENOENT) return 0;
    if (r != -EBUSY && r != -ENOTEMPTY) break;
    pause_ms(ms);
    if (ms < 50) ms *= 2;
  }
  return check(at, kStepUnlinkat, name, r);
}

}  // namespace runts
