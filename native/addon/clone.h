// The clone of an init: a child that shares our memory until it is exec'd (vfork), so that its cost does not grow with
// our heap.
#pragma once
#include "../ops/result.h"

namespace runts {

// What is sent to an init before there is one, it finds when it begins.
struct ChannelEnds {
  Fd ours, theirs;
};

int open_channel(Where& at, ChannelEnds* ends);

struct Spawned {
  int pid = 0;
  Fd process;  // pidfd
};

// Descriptors for what a child begins with, and where its table of them ends: nothing from there on is copied for it.
struct Seats {
  int null, channel, end;
};

// CLONE_NEW* flags; cgroup: a directory of cgroup v2 to be born in, or -1; image: the init; channel: its end, which stays the
// caller's. Blocks until the exec. `seats` are above 3, and `image` is below their end; without them the whole table is copied.
int spawn_init(Where& at, uint64_t flags, int cgroup, int image, int channel, Spawned* spawned,
               const Seats* seats = nullptr);

// Kills and collects an init that nobody took over.
void abandon(Spawned* spawned);

}  // namespace runts
