// The channel to the host: SOCK_SEQPACKET, always descriptor 3.
#pragma once
#include "../program/format.h"
#include "../program/run.h"

namespace runts {

enum { kChannel = 3 };

// A whole program, and the registers that came with it.
struct Received {
  const uint8_t* program;
  size_t size;
  const int* handles;
  uint32_t handle_count;
};

// Waits for the next program. False when the channel ends, or says what we do not understand.
bool receive_program(Received* received);

Frame frame_of(const Failure& failure);

}  // namespace runts
