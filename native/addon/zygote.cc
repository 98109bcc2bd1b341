#include "zygote.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clone.h"
#include "hear.h"
#include "rights.h"

namespace runts {

namespace {

// Who we are. The kernel says it by itself only of what is sent after the zygote has asked for it, which is after it was let go on.
void add_credentials(struct msghdr& message, Rights& rights) {
  struct ucred own = {getpid(), geteuid(), getegid()};
  auto* c = reinterpret_cast<cmsghdr*>(rights.bytes + message.msg_controllen);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_CREDENTIALS;
  c->cmsg_len = static_cast<decltype(c->cmsg_len)>(CMSG_LEN(sizeof own));
  memcpy(CMSG_DATA(c), &own, sizeof own);
  message.msg_controllen += static_cast<decltype(message.msg_controllen)>(CMSG_SPACE(sizeof own));
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

int meet(Where& at, int channel, int zygote, uint32_t milliseconds, int processes, Spawned* spawned) {
  if (!Patience(milliseconds).outlasts(channel)) (void)sys(__NR_pidfd_send_signal, zygote, SIGKILL, nullptr, 0);
  Heard heard;
  Got got;
  do {
    // Of one that is dead the channel ends, or there is a child that says that.
    if (!Patience(milliseconds).outlasts(channel)) return check(at, kStepPoll, -ETIMEDOUT);
    got = receive(channel, &heard);
  } while (got == Got::kMessage && heard.bytes.empty());
  if (got == Got::kNothing) {
    // There is one, and no descriptor left to know it by, nor its child.
    end_by_number(channel, Patience(milliseconds), processes);
    return check(at, kStepRecvmsg, -EMFILE);
  }
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
