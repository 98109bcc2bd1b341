// A zygote: a process in a user namespace with a full id map, which clones inits for the host. What is costly about such
// a map (newuidmap and newgidmap, two processes with rights of their own) is paid once, and not for each container: whoever
// is root over a map may write any part of it for a namespace below.
#include <linux/fcntl.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <string.h>

#include "../ops/path.h"
#include "../program/commands.h"
#include "../program/link.h"
#include "bare.h"
#include "channel.h"

namespace runts {

namespace {

constexpr uint32_t kNoOp = ~0u;  // a failure of none of the init's ops
constexpr uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
                                 CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWTIME;

// "PID/FILE"
void name_of(char* to, int pid, const char* file) {
  char digits[12];
  int n = 0;
  do digits[n++] = static_cast<char>('0' + pid % 10);
  while ((pid /= 10) != 0);
  while (n > 0) *to++ = digits[--n];
  *to++ = '/';
  while ((*to++ = *file++)) continue;
}

int write_map(int proc, int pid, const char* file, const char* map) {
  char path[32];
  name_of(path, pid, file);
  Where at;  // the host is told the errno alone
  Fd fd(open_below(at, proc, path, O_WRONLY, 0, RESOLVE_NO_SYMLINKS));
  if (!fd.ok()) return fd.get();
  size_t size = strlen(map);
  long written = sys(__NR_write, fd.get(), map, size);
  return written < 0 ? static_cast<int>(written) : written == static_cast<long>(size) ? 0 : -EIO;
}

// In the child. What goes wrong from here on is the init's to tell, on its own channel.
//
// It waits until its maps are written, or the zygote is gone: in the middle of an exec, a process without them has files in
// procfs that are nobody's, and could not be opened; and without them, the exec would take its capabilities.
[[noreturn]] void become_init(const CloneRequest& request, int image, int gate) {
  char word;
  (void)sys(__NR_read, gate, &word, sizeof word);  // its end is the word
  Where at;
  int r = take_channel(at, request.channel);
  if (r >= 0) r = check(at, kStepFcntl, sys(__NR_fcntl, channel_fd(), F_SETFD, 0));
  if (r >= 0) {
    const char* argv[] = {"runts-init", nullptr};
    const char* env[] = {nullptr};
    r = check(at, kStepExecve, "runts-init", sys(__NR_execveat, image, "", argv, env, AT_EMPTY_PATH));
  }
  (void)send_frame(frame_of(Failure{kNoOp, 0, -r, at}), -1);  // a host that is gone needs no word
  leave(125);
}

// As a child of the host.
long clone_sibling(const CloneRequest& request, int* pidfd) {
  struct clone_args args = {};
  args.flags = request.flags | CLONE_PARENT | CLONE_PIDFD;  // the signal of its end is ours: SIGCHLD, to the host
  args.pidfd = reinterpret_cast<uint64_t>(pidfd);
  if (request.cgroup >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(request.cgroup);
  }
  return sys(__NR_clone3, &args, sizeof args);
}

int refuse(const Where& at, int error) { return send_frame(frame_of(Failure{kNoOp, 0, -error, at}), -1); }

// How the inits are made that are no copies.
struct Exec {
  int image, proc;
  const char *uids, *gids;
};

int answer(Where& at, const CloneRequest& request, const Exec& exec) {
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  if (r < 0) return refuse(at, r);
  Fd gate(ends[0]), closed(ends[1]);
  int pidfd = -1;
  bool known = !(request.flags & ~kNamespaces) && request.flags & CLONE_NEWUSER;
  int pid = check(at, kStepClone, known ? clone_sibling(request, &pidfd) : -EINVAL);
  if (pid == 0) {
    closed.reset();
    become_init(request, exec.image, gate.get());
  }
  if (pid < 0) return refuse(at, pid);
  Fd process(pidfd);
  int error = write_map(exec.proc, pid, "uid_map", exec.uids);
  if (error >= 0) error = write_map(exec.proc, pid, "gid_map", exec.gids);
  closed.reset();
  Frame forked = frame_of(kFrameForked, 0, static_cast<uint64_t>(pid));
  forked.error = -error;
  return send_frame(forked, process.get());
}

int open_self() { return static_cast<int>(sys(__NR_pidfd_open, sys(__NR_getpid), 0)); }

// In the child: whether the host knows it. It waits until that has been said, or the zygote is gone.
bool is_known(int gate) {
  char word;
  long r;
  do r = sys(__NR_read, gate, &word, sizeof word);
  while (r == -EINTR);
  return r == 1;
}

// Who nobody knows must not do anything, and be collected.
[[noreturn]] void leave_unknown() {
  Fd self(open_self());
  (void)send_frame(frame_of(Failure{kNoOp, 0, EPIPE, Where{kStepClone, "zygote"}}), self.get());  // there may be no host
  leave(125);
}

// The child is us, who have heard nothing but such requests, and are as an exec would make it. Whoever asks waits on the child's
// channel. There we say who it is, for it may be killed before it could (it is born in a cgroup that is); where we are killed it
// does.
int answer_by_fork(Where& at, const CloneRequest& request) {
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  Fd gate(r < 0 ? r : ends[0]), known(r < 0 ? r : ends[1]);
  int pidfd = -1;
  int pid = r;
  if (r >= 0) pid = check(at, kStepClone, request.flags == 0 ? clone_sibling(request, &pidfd) : -EINVAL);
  Fd process(pidfd);
  if (pid == 0) {
    known.reset();
    Where own;
    // First: one that is frozen here must not hold the zygote's.
    if (take_channel(own, request.channel) < 0) leave(125);
    if (!is_known(gate.get())) leave_unknown();
    serve();
  }
  Frame forked = frame_of(kFrameForked, 0, static_cast<uint64_t>(pid));
  r = send_frame_over(request.channel, pid < 0 ? frame_of(Failure{kNoOp, 0, -pid, at}) : forked, process.get());
  if (r >= 0 && pid > 0) (void)sys(__NR_write, known.get(), "", 1);  // one that is dead needs none
  return 0;
}

int answer_all(Where& at, const Exec* exec) {
  for (;;) {
    CloneRequest request;
    int r = receive_clone(&request);
    if (r == -EPIPE || r == -EAGAIN) return 0;
    if (r < 0) return check(at, kStepRecvmsg, r);
    Fd channel(request.channel), cgroup(request.cgroup);
    r = exec ? answer(at, request, *exec) : answer_by_fork(at, request);
    if (r < 0) return r == -EPIPE ? 0 : check(at, kStepSendmsg, r);
  }
}

}  // namespace

int clone_inits(Where& at, int proc, const char* uids, const char* gids) {
  // We are what the inits are: the sealed image that the host has made of it.
  Fd image(check(at, kStepOpen, "self/exe", sys(__NR_openat, proc, "self/exe", O_PATH | O_CLOEXEC)));
  if (!image.ok()) return image.get();
  Exec exec = {image.get(), proc, uids, gids};
  return answer_all(at, &exec);
}

int fork_inits(Where& at, uint32_t idle_ms) {
  // Where nobody can say who it is, a child would be nobody's.
  Fd self(check(at, kStepOpen, "pidfd", open_self()));
  if (!self.ok()) return self.get();
  self.reset();
  // Who has given rights up since, or got hold of our channel, has no right to ours.
  int r = listen_for(at, idle_ms);
  return r < 0 ? r : answer_all(at, nullptr);
}

}  // namespace runts
