#include "system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

#include <memory>

#include "../ops/mounts.h"
#include "handle.h"
#include "opening.h"
#include "reading.h"
#include "value.h"

namespace runts {

namespace {

// duplicate(fd) -> Handle | failure: of a descriptor that somebody else owns.
Napi::Value duplicate_number(const Napi::CallbackInfo& info) {
  Where at;
  int fd = static_cast<int>(number_of(info[0]));
  return handle_or_failure(info.Env(), at, check(at, kStepFcntl, duplicate(fd).release()));
}

// openFile(path, flags) -> Handle | failure
Napi::Value open_now(const Napi::CallbackInfo& info) {
  Where at;
  int flags = static_cast<int>(number_of(info[1])) | O_CLOEXEC;
  long fd = sys(__NR_openat, AT_FDCWD, text_of(info[0]).c_str(), flags);
  return handle_or_failure(info.Env(), at, check(at, kStepOpen, fd));
}

// pipe(oursReads) -> {ours, theirs} | failure: only our end is non-blocking, a program does not expect it of its own.
Napi::Value make_pipe(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Where at;
  bool ours_reads = truth_of(info[0]);
  int ends[2];
  int r = check(at, kStepPipe, sys(__NR_pipe2, ends, O_CLOEXEC));
  if (r < 0) return failure(env, at, r);
  Fd ours(ends[ours_reads ? 0 : 1]), theirs(ends[ours_reads ? 1 : 0]);
  r = check(at, kStepFcntl, sys(__NR_fcntl, ours.get(), F_SETFL, O_NONBLOCK));
  if (r < 0) return failure(env, at, r);
  Napi::Object pair = Napi::Object::New(env);
  pair.Set("ours", new_handle(env, static_cast<Fd&&>(ours)));
  pair.Set("theirs", new_handle(env, static_cast<Fd&&>(theirs)));
  return pair;
}

// openFileBelow(root, path) -> Promise<Handle | failure>
Napi::Value open_file(const Napi::CallbackInfo& info) {
  Fd root = duplicate(fd_of(info[0]));
  if (!root.ok()) return failure(info.Env(), Where{kStepFcntl, ""}, root.get());
  // std::function wants something that can be copied, which a descriptor is not.
  auto held = std::make_shared<Fd>(static_cast<Fd&&>(root));
  return open_on_pool(info.Env(), [held, path = text_of(info[1])](Where& at) {
    return open_file_below(at, held->get(), path.c_str());
  });
}

// readNow(handle) -> bytes | errno: what there is of a pipe whose reads never block; 0 at its end.
Napi::Value read_now(const Napi::CallbackInfo& info) {
  std::vector<uint8_t>& buffer = State::of(info.Env()).buffer;
  long n = -EINTR;
  while (n == -EINTR) n = sys(__NR_read, fd_of(info[0]), buffer.data(), buffer.size());
  if (n <= 0) return Napi::Number::New(info.Env(), static_cast<double>(-n));
  return copy_bytes(info.Env(), buffer.data(), static_cast<size_t>(n));
}

// lock(handle) -> undefined | failure: EAGAIN when somebody has it.
Napi::Value lock(const Napi::CallbackInfo& info) {
  Where at;
  int r = check(at, kStepFcntl, sys(__NR_flock, fd_of(info[0]), LOCK_EX | LOCK_NB));
  return outcome(info.Env(), at, r);
}

// signal(process, number) -> undefined | failure
Napi::Value signal(const Napi::CallbackInfo& info) {
  Where at;
  long r = sys(__NR_pidfd_send_signal, fd_of(info[0]), static_cast<int>(number_of(info[1])), nullptr, 0);
  return outcome(info.Env(), at, static_cast<int>(r));
}

// openProcess(pid) -> Handle | failure
Napi::Value open_process(const Napi::CallbackInfo& info) {
  Where at;
  long fd = sys(__NR_pidfd_open, static_cast<int>(number_of(info[0])), 0);
  return handle_or_failure(info.Env(), at, static_cast<int>(fd));
}

// Whether CAP_SYS_ADMIN is ours, in whichever user namespace.
bool administers() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  return sys(__NR_capget, &header, data) >= 0 && (data[0].effective >> CAP_SYS_ADMIN & 1) != 0;
}

bool in_user_namespace_of_host() {
  constexpr char kOfHost[] = "user:[4026531837]";  // PROC_USER_INIT_INO of linux/proc_ns.h
  char name[32] = "";
  long n = sys(__NR_readlinkat, AT_FDCWD, "/proc/self/ns/user", name, sizeof name - 1);
  return n > 0 && strcmp(name, kOfHost) == 0;
}

// isPrivileged() -> boolean: whether mounts can be cloned where we are. CAP_SYS_ADMIN alone does not say so: in a new
// user namespace we have it, and the mounts still belong to the one above. Who may is asked before the path is looked at, and
// an empty one leads nowhere: nothing is cloned, for to let go of a mount is to wait for every processor. But where a filter
// hides the call the capability says so: what is refused then tells, and root is not taken for somebody else.
Napi::Value is_privileged(const Napi::CallbackInfo& info) {
  Where at;
  Fd none(clone_mount(at, "", false));
  bool hidden = none.get() != -ENOENT && administers() && (none.get() == -ENOSYS || in_user_namespace_of_host());
  return Napi::Boolean::New(info.Env(), none.get() == -ENOENT || hidden);
}

// linkFile(file, path) -> undefined | failure: gives a file without a name (O_TMPFILE) one that is free.
Napi::Value link_file(const Napi::CallbackInfo& info) {
  Where at;
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd_of(info[0]));
  std::string path = text_of(info[1]);
  long r = sys(__NR_linkat, AT_FDCWD, self, AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
  return outcome(info.Env(), at, check(at, kStepLinkat, r));
}

}  // namespace

void define_system(Napi::Env env, Napi::Object exports) {
  exports.Set("duplicate", Napi::Function::New<duplicate_number>(env, "duplicate"));
  exports.Set("openFile", Napi::Function::New<open_now>(env, "openFile"));
  exports.Set("pipe", Napi::Function::New<make_pipe>(env, "pipe"));
  exports.Set("readNow", Napi::Function::New<read_now>(env, "readNow"));
  exports.Set("openFileBelow", Napi::Function::New<open_file>(env, "openFileBelow"));
  exports.Set("lock", Napi::Function::New<lock>(env, "lock"));
  exports.Set("signal", Napi::Function::New<signal>(env, "signal"));
  exports.Set("openProcess", Napi::Function::New<open_process>(env, "openProcess"));
  exports.Set("linkFile", Napi::Function::New<link_file>(env, "linkFile"));
  exports.Set("isPrivileged", Napi::Function::New<is_privileged>(env, "isPrivileged"));
}

}  // namespace runts
