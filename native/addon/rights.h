// Descriptors that go with a message (SCM_RIGHTS).
#pragma once
#include <string.h>
#include <sys/socket.h>

#include "handle.h"
#include "value.h"

namespace runts {

// Room for as many as one message may bring.
struct Rights {
  alignas(cmsghdr) char bytes[CMSG_SPACE(kHandlesMax * sizeof(int))];
};

// Puts a list of handles into a message; `rights` lives until it is sent.
inline void add_rights(struct msghdr& message, Rights& rights, const Napi::Array& handles) {
  uint32_t count = handles.Length();
  expect(count <= kHandlesMax, "too many handles");
  if (count == 0) return;
  message.msg_control = rights.bytes;
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  cmsghdr* c = CMSG_FIRSTHDR(&message);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(count * sizeof(int));
  for (uint32_t i = 0; i < count; i++) {
    int fd = fd_of(handles.Get(i));
    memcpy(CMSG_DATA(c) + i * sizeof fd, &fd, sizeof fd);
  }
}

}  // namespace runts
