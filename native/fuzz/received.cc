// What the addon makes of a message that an init has sent: its descriptors, each owned once.
#include "../addon/received.h"

#include <string.h>

#include "../program/format.h"
#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  kernel::begin(input, size);
  alignas(cmsghdr) static char bytes[CMSG_SPACE(kHandlesMax * sizeof(int))];
  uint8_t body[sizeof(Frame)];
  if (!kernel::lives([&] {
        struct iovec vector = {body, sizeof body};
        struct msghdr message = {};
        message.msg_iov = &vector;
        message.msg_iovlen = 1;
        message.msg_control = bytes;
        message.msg_controllen = kernel::byte() & 1 ? sizeof bytes : kernel::word() % sizeof bytes;
        if (sys(__NR_recvmsg, 3, &message, MSG_CMSG_CLOEXEC) < 0) return;
        std::vector<Fd> fds = descriptors(&message);
        for (const Fd& fd : fds) {
          if (!fd.ok()) broken("a handle is no descriptor");
        }
      })) {
    return 0;
  }
  kernel::expect_open_only(nullptr, 0);
  return 0;
}
