#include "channel.h"

#include <linux/socket.h>
#include <string.h>

#include "../program/link.h"

namespace runts {

namespace {

// From <sys/socket.h>, which is a libc's.
struct IoVector {
  const void* base;
  size_t length;
};
struct MessageRecord {
  void* name;
  uint32_t name_length;
  IoVector* vectors;
  size_t vector_count;
  void* control;
  size_t control_length;
  int flags;
};
struct ControlHeader {
  size_t length;
  int level, type;
};
static_assert(sizeof(MessageRecord) == 56 && sizeof(ControlHeader) == 16, "the kernel's layout");
enum { kSocketLevel = 1, kRights = 1, kNoSignal = 0x4000, kCloexecHandles = 0x40000000, kControlTruncated = 8 };

alignas(8) uint8_t program[kProgramBytesMax];
alignas(8) uint8_t control[sizeof(ControlHeader) + kHandlesMax * sizeof(int) + 8];
int handles[kHandlesMax];

// Receives one message: its body at `to`, its descriptors into *fds. Returns the body's size, or -errno; -EPIPE at the
// end of the channel.
long receive(MessageHeader* header, uint8_t* to, size_t room, int* fds, uint32_t* fd_count) {
  IoVector vectors[2] = {{header, sizeof *header}, {to, room}};
  MessageRecord record = {nullptr, 0, vectors, 2, control, sizeof control, 0};
  long n = sys(__NR_recvmsg, kChannel, &record, kCloexecHandles);
  if (n == 0 || n == -ECONNRESET) return -EPIPE;
  if (n < 0) return n;
  if (static_cast<size_t>(n) < sizeof *header || record.flags & kControlTruncated) return -EBADMSG;
  *fd_count = 0;
  if (record.control_length >= sizeof(ControlHeader)) {
    auto* rights = reinterpret_cast<const ControlHeader*>(control);
    if (rights->level == kSocketLevel && rights->type == kRights) {
      *fd_count = static_cast<uint32_t>((rights->length - sizeof *rights) / sizeof(int));
      memcpy(fds, rights + 1, *fd_count * sizeof(int));
    }
  }
  return n - static_cast<long>(sizeof *header);
}

}  // namespace

bool receive_program(Received* received) {
  size_t size = 0;
  uint32_t handle_count = 0;
  for (;;) {
    MessageHeader header;
    int fds[kHandlesMax];
    uint32_t fd_count;
    long n = receive(&header, program + size, sizeof program - size, fds, &fd_count);
    if (n < 0 || header.kind != kMessageSegment || header.value > sizeof program) return false;
    if (handle_count + fd_count > kHandlesMax) return false;
    memcpy(handles + handle_count, fds, fd_count * sizeof(int));
    handle_count += fd_count;
    size += static_cast<size_t>(n);
    if (size > header.value || (n == 0 && size < header.value)) return false;
    if (size == header.value) break;
  }
  *received = {program, size, handles, handle_count};
  return true;
}

int send_frame(const Frame& frame, int fd) {
  struct {
    ControlHeader header;
    int fd, padding;
  } rights = {{sizeof(ControlHeader) + sizeof(int), kSocketLevel, kRights}, fd, 0};
  IoVector vector = {&frame, sizeof frame};
  MessageRecord record = {nullptr, 0, &vector, 1, fd < 0 ? nullptr : &rights, fd < 0 ? 0 : sizeof rights, 0};
  long n = sys(__NR_sendmsg, kChannel, &record, kNoSignal);
  return n < 0 ? static_cast<int>(n) : 0;
}

int wait_for_go(uint32_t tag) {
  MessageHeader header;
  uint8_t body[8];
  int fds[kHandlesMax];
  uint32_t fd_count;
  long n = receive(&header, body, sizeof body, fds, &fd_count);
  if (n < 0) return static_cast<int>(n);
  return header.kind == kMessageGo && header.value == tag && fd_count == 0 ? 0 : -EBADMSG;
}

Frame frame_of(const Failure& failure) {
  Frame frame = {};
  frame.kind = kFrameError;
  frame.op = failure.op;
  frame.code = failure.code;
  frame.step = failure.where.step;
  frame.error = failure.error;
  size_t length = strlen(failure.where.detail);
  if (length > sizeof frame.detail) length = sizeof frame.detail;
  memcpy(frame.detail, failure.where.detail, length);
  frame.detail_length = static_cast<uint32_t>(length);
  return frame;
}

}  // namespace runts
