// Inits by a zygote (op fork_inits), which is to say on their own channels who they are.
#pragma once
#include <stdint.h>

#include "../ops/result.h"

namespace runts {

struct Spawned;

// Asks a zygote, over its channel, for an init with this end of another; cgroup: to be born in, or -1. It does not wait.
int ask(Where& at, int zygote, int channel, int cgroup);

// Waits for what is said there first. Returns -errno where there is none; a zygote (its pidfd) of which nothing comes for so many
// milliseconds is killed. -ETIMEDOUT and -EMFILE: there may have been one, which has begun, and
// told of so many processes.
int meet(Where& at, int channel, int zygote, uint32_t milliseconds, int processes, Spawned* spawned);

}  // namespace runts
