// Descriptors that came with a message (SCM_RIGHTS).
#pragma once
#include <string.h>
#include <sys/socket.h>

#include <vector>

#include "../ops/result.h"

namespace runts {

// Every descriptor of a received message, owned at once.
inline std::vector<Fd> descriptors(struct msghdr* message) {
  std::vector<Fd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace runts
