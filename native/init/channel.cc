#include "channel.h"

#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/socket.h>
#include <string.h>

#include "../ops/process.h"
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
// As the kernel attests them.
struct Credentials {
  int pid;
  uint32_t uid, gid;
};
enum { kSocketLevel = 1, kRights = 1, kCredentials = 2, kPassCredentials = 16, kReceiveTime = 20 };
enum { kNoSignal = 0x4000, kCloexecHandles = 0x40000000, kControlTruncated = 8 };

int channel = kFirstChannel;
alignas(8) uint8_t program[kProgramBytesMax];
alignas(8) uint8_t control[2 * sizeof(ControlHeader) + sizeof(Credentials) + 4 + kHandlesMax * sizeof(int) + 8];
int handles[kHandlesMax];
bool only_ours = false;  // the only ones to be heard are those with our ids

// What came with a message: its descriptors, and whether it is from whom we hear.
bool take_control(size_t length, int* fds, uint32_t* fd_count) {
  bool ours = false;
  for (size_t at = 0; at + sizeof(ControlHeader) <= length;) {
    auto* item = reinterpret_cast<const ControlHeader*>(control + at);
    if (item->length < sizeof *item || item->length > length - at) break;
    if (item->level == kSocketLevel && item->type == kRights) {
      *fd_count = static_cast<uint32_t>((item->length - sizeof *item) / sizeof(int));
      memcpy(fds, item + 1, *fd_count * sizeof(int));
    }
    if (item->level == kSocketLevel && item->type == kCredentials) {
      auto* sender = reinterpret_cast<const Credentials*>(item + 1);
      ours = sender->uid == sys(__NR_getuid) && sender->gid == sys(__NR_getgid);
    }
    at += (item->length + 7) & ~size_t{7};
  }
  return ours || !only_ours;
}

// Receives one message: its body at `to`, its descriptors into *fds, also those of a message that is refused. Returns the
// body's size, or -errno; -EPIPE at the end of the channel.
long receive(MessageHeader* header, uint8_t* to, size_t room, int* fds, uint32_t* fd_count) {
  IoVector vectors[2] = {{header, sizeof *header}, {to, room}};
  MessageRecord record = {nullptr, 0, vectors, 2, control, sizeof control, 0};
  *fd_count = 0;
  long n = sys(__NR_recvmsg, channel, &record, kCloexecHandles);
  // Said once of a host that died with something unread, and before what it has sent.
  if (n == -ECONNRESET) n = sys(__NR_recvmsg, channel, &record, kCloexecHandles);
  if (n < 0) return n;
  bool heard = take_control(record.control_length, fds, fd_count);
  if (n == 0) return -EPIPE;
  if (!heard) return -EPERM;
  if (record.flags & kControlTruncated) return -EMFILE;
  if (static_cast<size_t>(n) < sizeof *header) return -EBADMSG;
  return n - static_cast<long>(sizeof *header);
}

void close_all(const int* fds, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) (void)sys(__NR_close, fds[i]);
}

// Closes the channel, and speaks over another.
void speak_over(int fd) {
  if (channel >= 0) (void)sys(__NR_close, channel);
  channel = fd;
}

// Waits for a connection. The listener may be one that does not block.
int accept_one(Where& at, int listener) {
  struct pollfd waiting = {listener, POLLIN, 0};
  for (;;) {
    long r = sys(__NR_ppoll, &waiting, 1, nullptr, nullptr, 0);
    if (r < 0 && r != -EINTR) return check(at, kStepPoll, r);
    r = sys(__NR_accept4, listener, nullptr, nullptr, O_CLOEXEC /* SOCK_CLOEXEC */);
    if (r != -EAGAIN && r != -EINTR && r != -ECONNABORTED) return check(at, kStepAccept4, r);
  }
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

int send_frame(const Frame& frame, int fd) { return send_frame_over(channel, frame, fd); }

int send_frame_over(int socket, const Frame& frame, int fd) {
  struct {
    ControlHeader header;
    int fd, padding;
  } rights = {{sizeof(ControlHeader) + sizeof(int), kSocketLevel, kRights}, fd, 0};
  IoVector vector = {&frame, sizeof frame};
  MessageRecord record = {nullptr, 0, &vector, 1, fd < 0 ? nullptr : &rights, fd < 0 ? 0 : sizeof rights, 0};
  long n = sys(__NR_sendmsg, socket, &record, kNoSignal);
  if (n == -ECONNRESET) n = -EPIPE;  // a host that died with something unread is as gone as another
  // The command's filter may deny to send anything, and a failure is to be told all the same.
  if (n < 0 && n != -EPIPE && fd < 0) n = sys(__NR_write, socket, &frame, sizeof frame);
  return n < 0 ? static_cast<int>(n) : 0;
}

// The next message, whole; it has no body that anybody would want.
static long receive_header(MessageHeader* header, int* fds, uint32_t* fd_count) {
  uint8_t body[8];
  long n;
  do n = receive(header, body, sizeof body, fds, fd_count);
  while (n == -EINTR);
  return n;
}

int wait_for_go(uint32_t tag, int* handle) {
  MessageHeader header;
  int fds[kHandlesMax];
  uint32_t fd_count;
  long n = receive_header(&header, fds, &fd_count);
  bool is_go = n == 0 && header.kind == kMessageGo && header.value == tag && fd_count == (handle ? 1 : 0);
  if (!is_go) {
    close_all(fds, fd_count);
    return n < 0 ? static_cast<int>(n) : -EBADMSG;
  }
  if (handle) *handle = fds[0];
  return 0;
}

int receive_clone(CloneRequest* request) {
  MessageHeader header;
  int fds[kHandlesMax];
  uint32_t fd_count;
  long n = receive_header(&header, fds, &fd_count);
  if (n != 0 || header.kind != kMessageClone || fd_count < 1 || fd_count > 2) {
    close_all(fds, fd_count);
    return n < 0 ? static_cast<int>(n) : -EBADMSG;
  }
  *request = {header.value, fds[0], fd_count == 2 ? fds[1] : -1};
  return 0;
}

int receive_order(KeeperOrder* order, uint8_t* body, size_t room) {
  MessageHeader header;
  int fds[kHandlesMax];
  uint32_t fd_count;
  long n;
  do n = receive(&header, body, room, fds, &fd_count);
  while (n == -EINTR);
  *order = {header.kind, header.value, fd_count == 1 ? fds[0] : -1, n < 0 ? 0 : static_cast<size_t>(n)};
  if (n >= 0 && fd_count <= 1 && header.value < kProgramsKeptMax) return 0;
  close_all(fds, fd_count);
  return n < 0 ? static_cast<int>(n) : -EBADMSG;
}

int listen_for(Where& at, uint32_t milliseconds) {
  int on = 1;
  long r = sys(__NR_setsockopt, channel, kSocketLevel, kPassCredentials, &on, sizeof on);
  if (r < 0) return check(at, kStepSocket, "SO_PASSCRED", r);
  only_ours = true;
  long time[] = {milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1000};
  r = sys(__NR_setsockopt, channel, kSocketLevel, kReceiveTime, time, sizeof time);
  return check(at, kStepSocket, "SO_RCVTIMEO", r);
}

int take_channel(Where& at, int fd) {
  int r = check(at, kStepDup3, sys(__NR_dup3, fd, kFirstChannel, O_CLOEXEC));
  if (r >= 0) channel = r, only_ours = false;
  return r;
}

int await_start(Where& at, int listener, uint32_t tag) {
  // Whoever connects is not asked who they are (SO_PEERCRED): a caller that our user namespace does not map, root above
  // all, would be nobody here. The directory of the socket and its mode, 0700 and 0600, are what keeps others away.
  Frame frame = {};
  frame.kind = kFrameSync;
  frame.tag = tag;
  ignore_children(true);  // what is executed in the container meanwhile leaves its orphans to process 1
  for (;;) {
    int connection = accept_one(at, listener);
    if (connection < 0) return connection;
    speak_over(connection);
    int handle = -1;
    int r = send_frame(frame, -1);
    if (r >= 0) r = wait_for_go(tag, &handle);
    if (r >= 0) {
      ignore_children(false);
      return handle;
    }
    speak_over(-1);  // who says something else, or goes, has not started us
  }
}

int channel_fd() { return channel; }

void hang_up() { speak_over(-1); }

int move_channel(Where& at, int from) {
  if (channel < 0 || channel >= from) return 0;
  int moved = check(at, kStepFcntl, sys(__NR_fcntl, channel, F_DUPFD_CLOEXEC, from));
  if (moved >= 0) speak_over(moved);
  return moved < 0 ? moved : 0;
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
