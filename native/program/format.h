// The program's wire format: what lib/program/encode.ts writes, verify.cc checks and run.cc reads. Little-endian, every
// record 8-aligned. lib/program/limits.ts has the same bounds; the table of ops is in ops.gen.h.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace runts {

enum : uint32_t { kMagic = 0x53544e52 };  // "RNTS"
enum : uint16_t { kVersion = 1 };
enum : uint32_t {
  kProgramBytesMax = 4u << 20,
  kOpsMax = 4096,
  kRegistersMax = 512,
  kHandlesMax = 253,
  kMessageBytesMax = 32u << 10,
  kPathBytesMax = 4095,
  kSlots = 7,
  kNoRegister = 0xffff,
};
enum : uint16_t { kFlagTrace = 1, kFlagTest = 2 };

struct Header {
  uint32_t magic;
  uint16_t version, flags;
  uint64_t schema;
  uint32_t total, ops, data;
  uint16_t registers, inputs;
  uint32_t fail_at, fail_errno;  // with kFlagTest: op number fail_at fails with this errno; otherwise 0
  uint8_t reserved[24];
};

enum : uint8_t { kOnErrorFail = 0, kOnErrorSkip = 1 };

struct Op {
  uint16_t code;
  uint8_t on_error, skip;  // skip: ops to jump over on success
  uint32_t guard;          // offset of an errno set (u32 count, u32 errno...) in the data section; 0: none
  uint64_t arg[kSlots];
};

static_assert(sizeof(Header) == 64 && offsetof(Header, schema) == 8 && offsetof(Header, fail_at) == 32, "wire layout");
static_assert(sizeof(Op) == 64 && offsetof(Op, arg) == 8, "wire layout");

// Host to init: an 8-byte header, then a stretch of the program (kSegment: value is the program's size) or nothing.
// To a zygote (op clone_inits): clone an init with these CLONE_NEW* flags; its channel and maybe its cgroup come along.
// To a keeper (op keep): keep the program that follows under a number, run it, forget it.
enum : uint32_t {
  kMessageSegment = 1,
  kMessageGo = 2,
  kMessageClone = 3,
  kMessageKeep = 4,
  kMessageRun = 5,
  kMessageForget = 6,
};
enum : uint32_t { kProgramsKeptMax = 240, kProgramKeptBytesMax = 512 };
struct MessageHeader {
  uint32_t kind, value;
};

// Init to host, lib/program/frames.ts.
enum FrameKind : uint32_t {
  kFrameForked = 1,
  kFrameSync,
  kFrameHandle,
  kFrameTrace,
  kFrameDone,
  kFrameStarted,
  kFrameExit,
  kFrameError,
};
struct Frame {
  uint32_t kind, segment, op;
  uint16_t code, step;
  int32_t error;
  uint32_t tag;
  uint64_t value;
  uint32_t detail_length, reserved;
  char detail[280];
};
static_assert(sizeof(Frame) == 320 && offsetof(Frame, detail) == 40, "wire layout");

}  // namespace runts
