// Entering, making and leaving namespaces.
#pragma once
#include "result.h"

namespace runts {

// Takes uid and gid 0 of a user namespace whose maps are written, and hides from ptrace.
int become_root(Where& at);

int unshare_namespaces(Where& at, uint64_t flags);

// setns(2) on one descriptor; flags 0 accepts any type of namespace.
int set_namespace(Where& at, int fd, uint64_t flags);

// Whether a descriptor is a namespace of the type of a CLONE_NEW* flag.
int expect_namespace(Where& at, int fd, uint64_t type);

// Enters all of `fds` around `user` (-1: none), see the op.
int join_namespaces(Where& at, const int* fds, uint32_t count, int user);

// fork(2). With `sibling` the child's parent is ours (CLONE_PARENT). *pidfd receives a descriptor of the child.
int fork_process(Where& at, bool sibling, int* pidfd);

int undumpable(Where& at);

}  // namespace runts
