// What is in a directory tree, for the host, which asks over a stream: names and what stands under them, and contents.
// lib/layers/tree-reader.ts asks.
#pragma once
#include "result.h"

namespace runts {

// A question, then the name of what it is about, with its NUL; relative to the root, which is "". Little-endian.
struct Question {
  uint32_t kind, name;
};

enum QuestionKind : uint32_t {
  kQuestionEnd = 0,
  kQuestionList = 1,  // answered by a Found for each entry, and one that is all zeros
  kQuestionRead = 2,  // of a regular file: answered by a Found without names, and as many bytes as it says
};

// One entry, then its name and the target of a link (both without a NUL), and its extended attributes in rows of u32 length
// of the name, u32 length of the value, name, value. No links: there is nothing of the kind that was asked for.
struct Found {
  uint32_t links, mode, uid, gid;
  int64_t seconds, changed;
  uint32_t nanoseconds, changed_nanoseconds, name, target, attributes, major, minor, reserved;
  uint64_t size, inode;
};
static_assert(sizeof(Found) == 80, "wire layout");

// Answers until it is told that it was all. No link is followed. What is not there, or not what it was, is answered as
// nothing: the tree may change while it is read.
int read_tree(Where& at, int stream, int root);

}  // namespace runts
