// A layer, from a stream of records into a directory. lib/layers/records.ts writes them.
#pragma once
#include "result.h"

namespace runts {

// One entry, then its name and its target (each with a NUL, or absent), its extended attributes, and its content.
// Little-endian.
struct Record {
  uint32_t kind, mode, uid, gid;
  int64_t seconds;
  uint32_t nanoseconds, name, target, attributes;
  uint64_t size;
  uint32_t major, minor;
  uint64_t flags;
};
static_assert(sizeof(Record) == 64, "wire layout");

enum RecordKind : uint32_t {
  kRecordFile = 1,
  kRecordDirectory,  // made with mode 0700; kRecordSettle gives it what it is to have
  kRecordSymlink,
  kRecordLink,
  kRecordNode,
  kRecordWhiteout,  // overlayfs's mark in place of the entry: a character device 0:0
  kRecordOpaque,    // and of a directory that hides what lower layers have in it: user.overlay.opaque
  kRecordRemove,    // removes what is there, where layers are applied to one another
  kRecordEmpty,     // removes what is in the directory
  kRecordSettle,
  kRecordEnd,
};

// Into a tree that is in use: nothing takes the place of a directory, and no directory that of anything else.
constexpr uint64_t kFlagKeep = 1;

// Makes what the records say below `root`, up to kRecordEnd. No name leads out of root, nor through what is not there for
// it; the failure's detail is the name that was being made. -ENODATA: the stream ended early.
int unpack(Where& at, int source, int root);

}  // namespace runts
