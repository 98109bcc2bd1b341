// Files below a root: made, written, owned and removed through descriptors.
#pragma once
#include "result.h"

namespace runts {

int make_symlink(Where& at, int root, const char* path, const char* target);
int make_file(Where& at, int root, const char* path, uint32_t mode, const void* content, size_t size);

struct Node {
  uint32_t mode, major, minor, uid, gid;
};
int make_node(Where& at, int root, const char* path, const Node& node);

// One write(2) to a file that exists.
int write_file(Where& at, int root, const char* path, const void* content, size_t size);

// The entry itself, were it a link.
int change_owner(Where& at, int root, const char* path, uint32_t uid, uint32_t gid);
int change_mode(Where& at, int root, const char* path, uint32_t mode);

// Removes an entry and everything below it, never following a link nor leaving its file system.
int remove_tree(Where& at, int root, const char* path);

}  // namespace runts
