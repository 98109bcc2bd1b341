// Who the process is and what it may do.
#pragma once
#include "result.h"

namespace runts {

struct Capabilities {
  uint64_t effective, permitted, inheritable, ambient;
};

int drop_bounding(Where& at, uint64_t keep);
// groups may be null: they stay as they are.
int set_ids(Where& at, uint32_t uid, uint32_t gid, const uint32_t* groups, uint32_t count);
int set_capabilities(Where& at, const Capabilities& sets);
// Empties the inheritable set, and with it the ambient one.
int nothing_inheritable(Where& at);
int no_new_privs(Where& at);
int death_signal(Where& at, uint32_t signal);

}  // namespace runts
