// The parts of the program that makes the kernel's own price of a container measurable: see limit.c.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What all containers of one run of this program have in common.
struct Settings {
  const char* rootfs;
  const char* filter_path;
  const char* filter;  // seccomp: instructions of classic BPF
  size_t filter_bytes;
  bool cgroup;  // with /sys/fs/cgroup
  bool user;  // in a user namespace, where root is who we are
  int empty_mounts;  // a mount namespace with nothing in it; -1: the host's mounts are copied, as who has no rights over them must
};

// Gives up, with what was being done and why; only in a child.
_Noreturn void give_up(const char* doing);

// A system call that must succeed; only in a child.
long must(long result, const char* doing);

// A mount namespace with nothing in it, by which the host's mounts can be left; -1 where there is none to be had.
int make_empty_mounts(void);

// Mounts and covers all that Docker's default container has, and enters it.
void enter_rootfs(const struct Settings* settings);

// Drops what Docker's default container has not, and executes the command.
_Noreturn void become(const struct Settings* settings, bool filtered, const char* command);
