// What a socket of rtnetlink answers, byte for byte, while a device is moved with its addresses.
#include "../ops/network.h"

#include <string.h>

#include "kernel.h"

using namespace runts;

namespace {

// A name of at most so many bytes, from the answers.
template <size_t kMost>
void read_name(char (&to)[kMost]) {
  size_t size = kernel::byte() % kMost;
  size = kernel::take(to, size);
  to[size] = 0;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  kernel::begin(input, size);
  char name[24], rename[24];
  read_name(name);
  read_name(rename);
  int netns = kernel::give();
  Where at;
  int r = 0;
  if (kernel::lives([&] { r = move_net_device(at, name, netns, rename); })) {
    if (r < 0) kernel::expect_text(at.detail);
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
