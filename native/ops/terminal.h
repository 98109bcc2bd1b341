// Terminals and the three standard descriptors.
#pragma once
#include "result.h"

namespace runts {

// Opens a new pair of a devpts mount. The slave comes from the master (TIOCGPTPEER): no path that the image could have
// replaced is looked up (CVE-2025-52565).
int open_pty(Where& at, int devpts, int* master, int* slave);
// What is written to the slave is read at the master as it is (without ONLCR).
int plain_output(Where& at, int terminal);
int set_window(Where& at, int terminal, uint32_t columns, uint32_t rows);
int controlling_terminal(Where& at, int terminal);
int set_stdio(Where& at, int in, int out, int error);
// Changes the owner of a pipe or a pseudo-terminal; -EPERM for anything else.
int give_to(Where& at, int fd, uint32_t uid, uint32_t gid);

}  // namespace runts
