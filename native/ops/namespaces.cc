#include "namespaces.h"

#include <linux/nsfs.h>
#include <linux/prctl.h>
#include <linux/sched.h>

#include "identity.h"

namespace runts {

namespace {
constexpr int kSigchld = 17;
}

int undumpable(Where& at) { return check(at, kStepPrctl, sys(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0)); }

int become_root(Where& at) {
  // Supplementary groups of the caller would still grant what they grant on the host. Where setgroups is denied they
  // stay, as user_namespaces(7) has it: the kernel lets nobody drop a group that denies.
  long groups = sys(__NR_setgroups, 0, nullptr);
  if (groups < 0 && groups != -EPERM) return check(at, kStepSetgroups, groups);
  int r = check(at, kStepSetresgid, sys(__NR_setresgid, 0, 0, 0));
  if (r >= 0) r = check(at, kStepSetresuid, sys(__NR_setresuid, 0, 0, 0));
  // The ambient set, and the inheritable one that it needs, carried the capabilities over the exec of the init
  // (capabilities(7)); they must not carry them further.
  if (r >= 0) r = nothing_inheritable(at);
  return r < 0 ? r : undumpable(at);
}

int unshare_namespaces(Where& at, uint64_t flags) { return check(at, kStepUnshare, sys(__NR_unshare, flags)); }

int set_namespace(Where& at, int fd, uint64_t flags) { return check(at, kStepSetns, sys(__NR_setns, fd, flags)); }

int expect_namespace(Where& at, int fd, uint64_t type) {
  int found = check(at, kStepIoctl, sys(__NR_ioctl, fd, NS_GET_NSTYPE, 0));
  if (found < 0) return found;
  return static_cast<uint64_t>(found) == type ? 0 : check(at, kStepIoctl, -EINVAL);
}

int join_namespaces(Where& at, const int* fds, uint32_t count, int user) {
  if (count > 16) return check(at, kStepSetns, -EINVAL);
  bool joined[16] = {};
  if (user >= 0) {
    // First those that only our present user namespace may enter; what it may not, the joined one will.
    for (uint32_t i = 0; i < count; i++) joined[i] = sys(__NR_setns, fds[i], 0) == 0;
    int r = set_namespace(at, user, CLONE_NEWUSER);
    if (r < 0) return r;
  }
  for (uint32_t i = 0; i < count; i++) {
    if (joined[i]) continue;
    int r = set_namespace(at, fds[i], 0);
    if (r < 0) return r;
  }
  return 0;
}

int fork_process(Where& at, bool sibling, int* pidfd) {
  // The raw call with neither stack nor CLONE_VM is fork(2); we have no threads and no state of a libc to mend.
  uint64_t flags = CLONE_PIDFD | (sibling ? CLONE_PARENT : 0) | kSigchld;
  // CLONE_PIDFD returns through the parent_tid argument, which stands third on every architecture.
  return check(at, kStepClone, sys(__NR_clone, flags, nullptr, pidfd, nullptr, nullptr));
}

}  // namespace runts
