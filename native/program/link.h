// What a running program needs of the init around it: the channel to the host, and the life of process 1.
#pragma once
#include "../ops/result.h"
#include "format.h"

namespace runts {

// Sends a frame to the host, with a descriptor when fd is not negative.
int send_frame(const Frame& frame, int fd);

// Waits for the host's GO with this tag; -EPIPE when the channel ends instead.
int wait_for_go(uint32_t tag);

// Forks: returns 0 in the child, which goes on with the program. The parent stays behind as process 1 and never returns.
int stay_as_reaper(Where& at, uint64_t capabilities);

// After the failure of a program that runs under a reaper: the reaper must not take the end for an exec.
void note_failure();

}  // namespace runts
