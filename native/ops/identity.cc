#include "identity.h"

#include <linux/capability.h>
#include <linux/prctl.h>

namespace runts {

namespace {
// The kernel's last capability may be newer or older than ours: PR_CAPBSET_READ says -EINVAL past it.
constexpr int kCapabilityEnd = 64;

int set_ambient(Where& at, uint64_t ambient) {
  int r = check(at, kStepPrctl, sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
  for (int c = 0; c < kCapabilityEnd && r >= 0; c++) {
    if (ambient >> c & 1) r = check(at, kStepPrctl, sys(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, c, 0, 0));
  }
  return r;
}
}  // namespace

int drop_bounding(Where& at, uint64_t keep) {
  for (int c = 0; c < kCapabilityEnd; c++) {
    if (keep >> c & 1) continue;
    long r = sys(__NR_prctl, PR_CAPBSET_DROP, c, 0, 0, 0);
    if (r == -EINVAL) break;
    if (r < 0) return check(at, kStepPrctl, r);
  }
  return 0;
}

int set_ids(Where& at, uint32_t uid, uint32_t gid, const uint32_t* groups, uint32_t count) {
  int r = groups ? check(at, kStepSetgroups, sys(__NR_setgroups, count, groups)) : 0;
  // Or the step from uid 0 to another would empty the permitted set before `capabilities` has had its say.
  if (r >= 0) r = check(at, kStepPrctl, sys(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
  if (r >= 0) r = check(at, kStepSetresgid, sys(__NR_setresgid, gid, gid, gid));
  if (r >= 0) r = check(at, kStepSetresuid, sys(__NR_setresuid, uid, uid, uid));
  return r;
}

int set_capabilities(Where& at, const Capabilities& sets) {
  auto low = [](uint64_t set) { return static_cast<uint32_t>(set); };
  auto high = [](uint64_t set) { return static_cast<uint32_t>(set >> 32); };
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {{low(sets.effective), low(sets.permitted), low(sets.inheritable)},
                                    {high(sets.effective), high(sets.permitted), high(sets.inheritable)}};
  int r = check(at, kStepCapset, sys(__NR_capset, &header, data));
  return r < 0 ? r : set_ambient(at, sets.ambient);
}

int nothing_inheritable(Where& at) {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  int r = check(at, kStepCapset, sys(__NR_capget, &header, data));
  for (auto& half : data) half.inheritable = 0;
  return r < 0 ? r : check(at, kStepCapset, sys(__NR_capset, &header, data));
}

int no_new_privs(Where& at) { return check(at, kStepPrctl, sys(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)); }

int death_signal(Where& at, uint32_t signal) {
  return check(at, kStepPrctl, sys(__NR_prctl, PR_SET_PDEATHSIG, signal, 0, 0, 0));
}

}  // namespace runts
