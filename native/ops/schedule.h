// When and where a process runs: processors, disks and memory.
#pragma once
#include "result.h"

namespace runts {

struct Scheduling {
  uint32_t policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime_ns, deadline_ns, period_ns;
};
int set_scheduler(Where& at, const Scheduling& scheduling);
int set_io_priority(Where& at, uint32_t io_class, uint32_t priority);

// Bit masks, lowest byte first.
int set_affinity(Where& at, const void* cpus, size_t size);
int set_memory_policy(Where& at, uint32_t mode, const void* nodes, size_t size);

int set_personality(Where& at, uint32_t persona);

}  // namespace runts
