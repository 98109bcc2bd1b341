// Files below a root: made, written, owned and removed through descriptors.
#pragma once
#include "result.h"

namespace runts {

int make_symlink(Where& at, int root, const char* path, const char* target);
int make_file(Where& at, int root, const char* path, uint32_t mode, const void* content, size_t size);

// The kernel's encoding of a device number in 32 bits (new_encode_dev): 12 bits of major, 20 of minor.
inline uint32_t device_number(uint32_t major, uint32_t minor) {
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

struct Node {
  uint32_t mode, major, minor, uid, gid;
};
int make_node(Where& at, int root, const char* path, const Node& node);

// "." and "..", which every directory lists.
inline bool is_dot(const char* name) { return name[0] == '.' && (name[1] == 0 || (name[1] == '.' && name[2] == 0)); }

// One write(2) to a file that exists.
int write_file(Where& at, int root, const char* path, const void* content, size_t size);

// The entry itself, were it a link.
int change_owner(Where& at, int root, const char* path, uint32_t uid, uint32_t gid);
int change_mode(Where& at, int root, const char* path, uint32_t mode);

// Gives the root of a mount the permission bits of the directory at `path`, and with `owner` its owner where it can.
int inherit(Where& at, int mount, int root, const char* path, bool owner);

// Removes an entry and everything below it, never following a link nor leaving its file system.
int remove_tree(Where& at, int root, const char* path);

// Removes an entry that is no directory, by its name in one: -EISDIR where it is. What is gone is fine.
int remove_file(Where& at, int directory, const char* name);

// Removes everything in a directory, which is taken over, in the same way.
int empty_directory(Where& at, int directory);

}  // namespace runts
