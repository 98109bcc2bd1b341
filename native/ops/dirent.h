// What getdents64 gives: linux_dirent64.
#pragma once
#include <stdint.h>

namespace runts {

struct Dirent {
  uint64_t inode;
  int64_t next;
  uint16_t size;
  uint8_t type;
  char name[1];
};

}  // namespace runts
