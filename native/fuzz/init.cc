// They are included, not linked: their state has no name outside.
#include "init.h"

#include "../init/channel.cc"
#include "../init/log.cc"
#include "../init/reap.cc"
#include "../init/keep.cc"
#include "../init/zygote.cc"
#include "../program/operands.h"
#include "kernel.h"

// What the linker's script (stays.ld) sets in the init.
extern "C" {
const uint8_t stays[1] = {}, goes[1] = {};
}

namespace runts {

namespace {

void begin_log() {
  for (Source& pipe : pipes) pipe.fd = -1, pipe.length = 0;
  segment_count = segment = text_length = text_lines = 0;
  segment_bytes = segment_bytes_max = dropped = 0;
  last = {0, 0};
}

}  // namespace

void leave(int code) {
  (void)sys(__NR_exit_group, code);
  __builtin_trap();
}

// The life of a copy is that of an init, which has targets of its own.
void serve() { leave(0); }

void begin_init() {
  channel = kFirstChannel;
  only_ours = false;
  exec_notice = confined_notice = -1;
  shared = nullptr;
  begin_log();
  for (int& fd : registers) fd = -1;
  for (Kept& each : programs) each = {};
}

size_t held(int (&fds)[kRegistersMax + kProgramsKeptMax + 8]) {
  size_t count = 0;
  for (int fd : registers) fds[count++] = fd;
  for (const Kept& each : programs) fds[count++] = each.size > 0 ? each.handle : -1;
  fds[count++] = channel;
  fds[count++] = exec_notice;
  fds[count++] = confined_notice;
  return count;
}

}  // namespace runts
