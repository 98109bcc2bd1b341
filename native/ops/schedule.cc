#include "schedule.h"

#include <string.h>

namespace runts {

int set_scheduler(Where& at, const Scheduling& wanted) {
  struct {  // struct sched_attr of Linux 5.3, which knows the utilization clamps that two of the flags ask for
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
  } attr = {sizeof attr,        wanted.policy,     wanted.flags,     wanted.nice, wanted.priority,
            wanted.runtime_ns,  wanted.deadline_ns, wanted.period_ns, 0,           0};
  static_assert(sizeof attr == 56, "the kernel's layout");
  return check(at, kStepSchedSetattr, sys(__NR_sched_setattr, 0, &attr, 0));
}

int set_io_priority(Where& at, uint32_t io_class, uint32_t priority) {
  constexpr int kWhoProcess = 1, kClassShift = 13;
  return check(at, kStepIoprioSet, sys(__NR_ioprio_set, kWhoProcess, 0, io_class << kClassShift | priority));
}

int set_affinity(Where& at, const void* cpus, size_t size) {
  return check(at, kStepSchedSetaffinity, sys(__NR_sched_setaffinity, 0, size, cpus));
}

int set_memory_policy(Where& at, uint32_t mode, const void* nodes, size_t size) {
  // The kernel reads whole words, and takes the count of bits to be one too many (set_mempolicy(2), BUGS).
  uint64_t mask[16] = {};
  if (size > sizeof mask) return check(at, kStepSetMempolicy, -EINVAL);
  memcpy(mask, nodes, size);
  bool none = size == 0;
  return check(at, kStepSetMempolicy,
               sys(__NR_set_mempolicy, mode, none ? nullptr : mask, none ? 0 : 8 * sizeof mask + 1));
}

int set_personality(Where& at, uint32_t persona) {
  long before = sys(__NR_personality, persona);  // the old one, which is a number like another
  return before < 0 ? check(at, kStepPersonality, before) : 0;
}

}  // namespace runts
