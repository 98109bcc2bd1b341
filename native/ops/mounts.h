// Mounts as descriptors: made detached, changed before anybody can see them, then attached onto a descriptor.
#pragma once
#include "result.h"

namespace runts {

// The options of a new file system, read one at a time.
struct Options {
  uint32_t count;
  const char* (*at)(const void* list, uint32_t index);
  const void* list;
};

struct MountChange {
  uint64_t set, clear, propagation;
  bool recursive;
};

// fsopen, fsconfig for each option, fsmount. `message` receives the kernel's own words on a failure.
int fsmount(Where& at, const char* fstype, const Options& options, uint64_t attributes, char* message, size_t size);

// Changes the options of a file system, by a descriptor of the root of a mount of it.
int reconfigure(Where& at, int mount, const Options& options, char* message, size_t size);

// open_tree(OPEN_TREE_CLONE) of a host path, or of a path below a root; an empty path is the root itself.
int clone_mount(Where& at, const char* path, bool recursive);
int clone_below(Where& at, int root, const char* path, bool recursive);

int mount_attributes(Where& at, int mount, const MountChange& change);
int idmap(Where& at, int mount, int userns, bool recursive);

// Puts a detached mount at a path below root, making the mount point. ordinary: no component may be a link.
int attach(Where& at, int mount, int root, const char* path, bool ordinary);
int attach_host(Where& at, int mount, const char* path);

// Takes the topmost mount at a descriptor off the tree; leaves the working directory in it.
int detach(Where& at, int mount);

// Every mount of this namespace (recursive), or the one at "/".
int set_propagation(Where& at, uint64_t flags, bool recursive);

// umount2(2) of a host path.
int unmount(Where& at, const char* path, uint32_t flags);

}  // namespace runts
