// The channel to the host: SOCK_SEQPACKET.
#pragma once
#include "../program/format.h"
#include "../program/run.h"

namespace runts {

// Where it is when the init begins. Afterwards a connection may take its place, or a descriptor of the command.
enum { kFirstChannel = 3 };

// Closes it: nothing is to be said any more.
void hang_up();

// A descriptor of the host's as the channel, at the number where an init begins with it; also over one that is there.
int take_channel(Where& at, int fd);

// From now on a message is -EPERM unless its sender has our user and group id when it sends, and where none comes for so many milliseconds
// that is -EAGAIN.
int listen_for(Where& at, uint32_t milliseconds);

// What a zygote is asked for. The descriptors are whoever's receives it to close; -1 is no cgroup.
struct CloneRequest {
  uint32_t flags;
  int channel, cgroup;
};
// Waits for the next one; -EPIPE at the end of the channel, -EBADMSG for anything else, and as listen_for has it.
int receive_clone(CloneRequest* request);

// What a keeper is told. The descriptor is whoever's receives it to close; -1 is none.
struct KeeperOrder {
  uint32_t kind, number;
  int handle;
  size_t size;  // of the program that came
};
// Waits for the next one; -EPIPE at the end of the channel, -EMFILE where there was no room for its descriptor.
int receive_order(KeeperOrder* order, uint8_t* program, size_t room);

// Takes the channel to a descriptor from this number on, unless it is there.
int move_channel(Where& at, int from);

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
