// What arrives on the init's channel: messages of any size, kind and number of descriptors. Words and
// requests are answered, and what is refused leaves no descriptor behind.
#include <string.h>

#include "init.h"
#include "kernel.h"

using namespace runts;

namespace {

// One message of a program, as the first byte has it: in parts, or shorter or longer than it says.
void receive_one(const uint8_t* input, size_t size) {
  Received received = {};
  if (!receive_program(&received)) return;
  volatile uint8_t read = 0;
  for (size_t i = 0; i < received.size; i++) read = read ^ received.program[i];
  for (uint32_t i = 0; i < received.handle_count; i++) {
    if (received.handles[i] < 0) broken("a handle is no descriptor");
    (void)sys(__NR_close, received.handles[i]);
  }
}

void wait_for_word() {
  int handle = -1;
  if (wait_for_go(7, kernel::byte() & 1 ? &handle : nullptr) >= 0 && handle >= 0) (void)sys(__NR_close, handle);
}

void wait_to_be_started() {
  Where at;
  int handle = await_start(at, kernel::give(), 1);
  if (handle >= 0) (void)sys(__NR_close, handle);
}

void wait_to_clone() {
  Where at;
  if (kernel::byte() & 1 && listen_for(at, 1000) < 0) return;
  CloneRequest request;
  if (receive_clone(&request) < 0) return;
  if (request.channel < 0) broken("a request without a channel");
  (void)sys(__NR_close, request.channel);
  if (request.cgroup >= 0) (void)sys(__NR_close, request.cgroup);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 1) return 0;
  kernel::begin(input + 1, size - 1);
  begin_init();
  bool lived = kernel::lives([&] {
    switch (input[0] % 4) {
      case 0: return receive_one(input + 1, size - 1);
      case 1: return wait_for_word();
      case 3: return wait_to_clone();
      default: return wait_to_be_started();
    }
  });
  if (!lived || input[0] % 4 == 0) return 0;
  int fds[kRegistersMax + kProgramsKeptMax + 8];
  kernel::expect_open_only(fds, held(fds));
  return 0;
}
