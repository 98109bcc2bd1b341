#include "zygote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clone.h"
#include "hear.h"
#include "rights.h"

namespace runts {

namespace {

constexpr int kProcesses = 2;  // the init of a command, and its child

// Who we are. The kernel says it by itself only of what is sent after the zygote has asked for it, which is after it was let go on.
void add_credentials(struct msghdr& message, Rights& rights) {
  struct ucred own = {getpid(), getuid(), getgid()};
  auto* c = reinterpret_cast<cmsghdr*>(rights.bytes + message.msg_controllen);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_CREDENTIALS;
  c->cmsg_len = static_cast<decltype(c->cmsg_len)>(CMSG_LEN(sizeof own));
  memcpy(CMSG_DATA(c), &own, sizeof own);
  message.msg_controllen += static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(sizeof own));
}

// There is one, and no descriptor left to know it by, nor its child. They are our children, so that their numbers are their own until
// they are collected. Of what was forked nobody is killed before it is known.
int give_up(Where& at, int channel, uint32_t milliseconds) {
  Patience patience(milliseconds);
  Frame frame;
  int pids[kProcesses], count = 0;
  while (count < kProcesses && patience.outlasts(channel) && recv(channel, &frame, sizeof frame, MSG_DONTWAIT) == sizeof frame) {
    if (frame.kind == kFrameForked && frame.value > 0) pids[count++] = static_cast<int>(frame.value);
  }
  for (int i = 0; i < count; i++) {
    siginfo_t info;
    (void)sys(__NR_kill, pids[i], SIGKILL);
    while (sys(__NR_waitid, P_PID, pids[i], &info, WEXITED | __WALL, nullptr) == -EINTR) continue;
  }
  return check(at, kStepRecvmsg, -EMFILE);
}

}  // namespace

int ask(Where& at, int zygote, int channel, int cgroup) {
  MessageHeader header = {kMessageClone, 0};
  struct iovec vector = {&header, sizeof header};
  struct msghdr message = {};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  Rights rights = {};
  int fds[] = {channel, cgroup};
  add_rights(message, rights, cgroup < 0 ? 1 : 2, [&](uint32_t i) { return fds[i]; });
  add_credentials(message, rights);
  long r = -EINTR;
  while (r == -EINTR) r = sys(__NR_sendmsg, zygote, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  return r < 0 ? check(at, kStepSendmsg, r) : 0;
}

int meet(Where& at, int channel, int zygote, uint32_t milliseconds, Spawned* spawned) {
  if (!Patience(milliseconds).outlasts(channel)) (void)sys(__NR_pidfd_send_signal, zygote, SIGKILL, nullptr, 0);
  Heard heard;
  Got got;
  do {
    // Of one that is dead the channel ends, or there is a child that says that.
    if (!Patience(milliseconds).outlasts(channel)) return check(at, kStepPoll, -ETIMEDOUT);
    got = receive(channel, &heard);
  } while (got == Got::kMessage && heard.bytes.empty());
  if (got == Got::kNothing) return give_up(at, channel, milliseconds);
  if (got == Got::kEnd || heard.bytes.size() != sizeof(Frame)) return check(at, kStepRecvmsg, -EPIPE);
  Frame frame = frame_in(heard);
  if (frame.kind == kFrameError && heard.fds.size() == 1) {
    // One that its zygote could not tell of; it ends.
    spawned->process = static_cast<Fd&&>(heard.fds[0]);
    abandon(spawned);
  }
  if (frame.kind == kFrameError) return check(at, static_cast<Step>(frame.step), frame.error > 0 ? -frame.error : -EPIPE);
  if (frame.kind != kFrameForked || heard.fds.size() != 1) return check(at, kStepRecvmsg, -EPIPE);
  spawned->pid = static_cast<int>(frame.value);
  spawned->process = static_cast<Fd&&>(heard.fds[0]);
  return 0;
}

}  // namespace runts
