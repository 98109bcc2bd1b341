#include "hear.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "received.h"
#include "rights.h"

namespace runts {

namespace {

int64_t now() {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1'000'000;
}

}  // namespace

Patience::Patience(uint32_t milliseconds) : until_(now() + milliseconds) {}

bool Patience::outlasts(int fd) const {
  struct pollfd waiting = {fd, POLLIN, 0};
  int ready;
  do {
    int64_t left = until_ - now();
    ready = poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

uint32_t kind_of(const Heard& heard) {
  uint32_t kind = 0;
  if (heard.bytes.size() >= sizeof kind) memcpy(&kind, heard.bytes.data(), sizeof kind);
  return kind;
}

Frame frame_in(const Heard& heard) {
  Frame frame;
  memcpy(&frame, heard.bytes.data(), sizeof frame);
  return frame;
}

Got receive(int channel, Heard* heard) {
  Rights rights;
  uint8_t frame[sizeof(Frame)];
  struct iovec vector = {frame, sizeof frame};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = rights.bytes;
  message.msg_controllen = sizeof rights.bytes;
  ssize_t size = recvmsg(channel, &message, MSG_PEEK | MSG_TRUNC | MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  // ECONNRESET is told once, before the messages that are still there.
  if (size < 0) return errno == EINTR || errno == ECONNRESET ? Got::kMessage : Got::kNothing;
  heard->fds = descriptors(&message);
  if (size == 0 && heard->fds.empty()) return Got::kEnd;
  if (static_cast<size_t>(size) > sizeof frame || message.msg_flags & MSG_CTRUNC) return Got::kNothing;
  heard->bytes.assign(frame, frame + size);
  // The other end may be closed just now, with something unread: it is still the message that we have looked at.
  ssize_t taken;
  do taken = recv(channel, frame, 0, MSG_DONTWAIT);
  while (taken < 0 && (errno == EINTR || errno == ECONNRESET));
  return taken < 0 ? Got::kNothing : Got::kMessage;
}

void end_by_number(int channel, const Patience& patience, uint32_t count) {
  std::vector<int> pids;
  Frame frame;
  while (pids.size() < count && patience.outlasts(channel) && recv(channel, &frame, sizeof frame, MSG_DONTWAIT) == sizeof frame) {
    if (frame.kind == kFrameForked && frame.value > 0) pids.push_back(static_cast<int>(frame.value));
  }
  for (int pid : pids) {
    siginfo_t info;
    (void)sys(__NR_kill, pid, SIGKILL);
    while (sys(__NR_waitid, P_PID, pid, &info, WEXITED | __WALL, nullptr) == -EINTR) continue;
  }
}

}  // namespace runts
