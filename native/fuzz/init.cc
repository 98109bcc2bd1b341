// They are included, not linked: their state has no name outside.
#include "init.h"

#include "../init/channel.cc"
#include "../init/reap.cc"
#include "../program/operands.h"
#include "kernel.h"

namespace runts {

void leave(int code) {
  (void)sys(__NR_exit_group, code);
  __builtin_trap();
}

void begin_init() {
  channel = kFirstChannel;
  exec_notice = confined_notice = -1;
  shared = nullptr;
  for (int& fd : registers) fd = -1;
}

size_t held(int (&fds)[kRegistersMax + 8]) {
  size_t count = 0;
  for (int fd : registers) fds[count++] = fd;
  fds[count++] = channel;
  fds[count++] = exec_notice;
  fds[count++] = confined_notice;
  return count;
}

}  // namespace runts
