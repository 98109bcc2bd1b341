// The clone of an init: a child that shares our memory until it is exec'd (vfork), so that its cost does not grow with
// our heap.
#pragma once
#include "../ops/result.h"

namespace runts {

struct Spawned {
  int pid = 0;
  Fd process;  // pidfd
  Fd channel;
};

// What an init finds on its channel when it begins: the same as a message that is sent to it then.
struct Errand {
  const uint8_t* bytes = nullptr;
  size_t size = 0;
  const Fd* handles = nullptr;
  size_t handle_count = 0;
};

// CLONE_NEW* flags; cgroup: a directory of cgroup v2 to be born in, or -1; image: the init. Blocks until the exec.
int spawn_init(Where& at, uint64_t flags, int cgroup, int image, const Errand& errand, Spawned* spawned);

// Kills and collects an init that nobody took over.
void abandon(Spawned* spawned);

}  // namespace runts
