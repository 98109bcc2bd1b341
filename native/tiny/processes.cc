// New processes: inits of containers, and programs of the host.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "../addon/clone.h"
#include "../addon/device_filter.h"
#include "../addon/image.h"
#include "value.h"

// Of <new>, which stands in no header of musl's.
inline void* operator new(size_t, void* place) noexcept { return place; }

namespace runts {

namespace {

// One is enough for all inits of this process.
Fd image;

int from_memory(Where& at, uint64_t flags, int cgroup, Spawned* spawned) {
  if (!image.ok()) image = Fd(sealed_image(at));
  return image.ok() ? spawn_init(at, flags, cgroup, image.get(), {}, spawned) : image.get();
}

// Where memory must not be executed: vm.memfd_noexec, or a security module.
int from_file(Where& at, uint64_t flags, int cgroup, Spawned* spawned) {
  Fd file(file_image(at));
  return file.ok() ? spawn_init(at, flags, cgroup, file.get(), {}, spawned) : file.get();
}

int spawn_any(Where& at, uint64_t flags, int cgroup, Spawned* spawned) {
  int r = from_memory(at, flags, cgroup, spawned);
  bool denied = (r == -EACCES || r == -EPERM) && at.step == kStepExecve;
  if (!image.ok() || denied) {
    Where other;
    int second = from_file(other, flags, cgroup, spawned);
    if (second >= 0) r = second;  // else why memory was refused says more
  }
  return r;
}

// An init that is being made, on a thread of its own: a clone with new namespaces takes the kernel a while.
struct Birth {
  uint64_t flags;
  int cgroup;
  Fd told;  // hears of the end
  pthread_t thread;
  Where at;
  Spawned spawned;
  int result;
};

// One after the other: they have one image.
pthread_mutex_t births = PTHREAD_MUTEX_INITIALIZER;

void* give_birth(void* argument) {
  auto* birth = static_cast<Birth*>(argument);
  pthread_mutex_lock(&births);
  birth->result = spawn_any(birth->at, birth->flags, birth->cgroup, &birth->spawned);
  pthread_mutex_unlock(&births);
  (void)sys(__NR_write, birth->told.get(), &birth, sizeof birth);  // a pipe that nothing was written to has room
  return nullptr;
}

// spawn(flags, cgroup) -> number: a descriptor that can be read once there is a new init, or -errno; `cgroup` is a
// descriptor or -1.
JSValue spawn(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  void* room = malloc(sizeof(Birth));
  int ends[2];
  long r = room == nullptr ? -ENOMEM : sys(__NR_pipe2, ends, O_CLOEXEC);
  if (r < 0) return free(room), number(js, r);
  Fd heard(ends[0]);
  auto* birth = new (room) Birth{};
  birth->flags = static_cast<uint64_t>(number_of(js, arguments[0]));
  birth->cgroup = static_cast<int>(number_of(js, arguments[1]));
  birth->told = Fd(ends[1]);
  // Where there can be no thread, this one waits.
  if (pthread_create(&birth->thread, nullptr, give_birth, birth) != 0) {
    birth->thread = pthread_self();
    give_birth(birth);
  }
  return number(js, heard.release());
}

// spawned(descriptor) -> [pid, process, channel] | failure: what came of it, once it can be read.
JSValue spawned(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Fd heard(static_cast<int>(number_of(js, arguments[0])));
  Birth* birth = nullptr;
  if (sys(__NR_read, heard.get(), &birth, sizeof birth) != sizeof birth) return failure(js, Where{}, -EIO);
  if (!pthread_equal(birth->thread, pthread_self())) pthread_join(birth->thread, nullptr);
  JSValue result;
  if (birth->result < 0) {
    result = failure(js, birth->at, birth->result);
  } else {
    result = JS_NewArray(js);
    JS_SetPropertyUint32(js, result, 0, JS_NewInt32(js, birth->spawned.pid));
    JS_SetPropertyUint32(js, result, 1, JS_NewInt32(js, birth->spawned.process.release()));
    JS_SetPropertyUint32(js, result, 2, JS_NewInt32(js, birth->spawned.channel.release()));
  }
  birth->~Birth();
  free(birth);
  return result;
}

// start(file, argv, environment, directory, descriptors) -> number: the pid of a program in a session of its own, with
// three descriptors as its standard streams, or -errno.
JSValue start(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes file(js, arguments[0]), directory(js, arguments[3]);
  if (file.has_nul() || directory.has_nul()) return number(js, -EINVAL);
  Strings argv(js, arguments[1]), environment(js, arguments[2]);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  for (uint32_t to = 0; to < 3; to++) {
    posix_spawn_file_actions_adddup2(&actions, descriptor_at(js, arguments[4], to), static_cast<int>(to));
  }
  posix_spawn_file_actions_addchdir_np(&actions, reinterpret_cast<const char*>(directory.data()));
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &all);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = 0;
  int error = posix_spawn(&pid, reinterpret_cast<const char*>(file.data()), &actions, &attributes, argv.get(),
                          environment.get());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return number(js, error == 0 ? pid : -error);
}

// become(file, argv, mark) -> number: the program in our place, with our environment and one variable more; -errno where it
// cannot be.
JSValue become(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes file(js, arguments[0]), mark(js, arguments[2]);
  Strings argv(js, arguments[1]);
  if (file.has_nul() || setenv(reinterpret_cast<const char*>(mark.data()), "1", 1) != 0) return number(js, -EINVAL);
  signal(SIGPIPE, SIG_DFL);
  return number(js, sys(__NR_execve, file.data(), argv.get(), environ));
}

// filterDevices(cgroup, program) -> undefined | failure
JSValue filter(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes program(js, arguments[1]);
  Where at;
  int r = filter_devices(at, static_cast<int>(number_of(js, arguments[0])), program.data(), program.size());
  return r < 0 ? failure(js, at, r) : JS_UNDEFINED;
}

}  // namespace

void define_processes(JSContext* js, JSValueConst object) {
  define(js, object, "spawn", spawn, 2);
  define(js, object, "spawned", spawned, 1);
  define(js, object, "start", start, 5);
  define(js, object, "become", become, 3);
  define(js, object, "filterDevices", filter, 2);
}

}  // namespace runts
