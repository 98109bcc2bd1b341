// The parts of the init that keep a state of their own, and how to begin anew.
#pragma once
#include "../init/channel.h"
#include "../program/link.h"

namespace runts {

void begin_init();

// Every descriptor that the init's own state holds: the channel, registers and notices.
size_t held(int (&fds)[kRegistersMax + kProgramsKeptMax + 8]);

}  // namespace runts
