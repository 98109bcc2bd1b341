// Descriptors that go with a message (SCM_RIGHTS).
#pragma once
#include <string.h>
#include <sys/socket.h>

#include "../program/format.h"

namespace runts {

// Room for as many as one message may bring.
struct Rights {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kHandlesMax * sizeof(int))];
};

// Puts at most kHandlesMax descriptors into a message; `rights` lives until it is sent.
template <typename FdAt>
void add_rights(struct msghdr& message, Rights& rights, uint32_t count, FdAt fd_at) {
  if (count > kHandlesMax) __builtin_trap();
  if (count == 0) return;
  message.msg_control = rights.bytes;
  // Of which type a length is differs between libcs.
  message.msg_controllen = static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(count * sizeof(int)));
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = static_cast<decltype(c->cmsg_len)>(CMSG_LEN(count * sizeof(int)));
  for (uint32_t i = 0; i < count; i++) {
    int fd = fd_at(i);
    memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
  }
}

}  // namespace runts
