#include "spawn.h"

#include <errno.h>

#include <vector>

#include "clone.h"
#include "handle.h"
#include "image.h"
#include "value.h"
#include "watch.h"

namespace runts {

namespace {

// On a thread of the pool, because a vfork stops the thread that calls it until the exec.
class SpawnJob : public Napi::AsyncWorker {
 public:
  // `image` may be -errno: there is none, since `at`.
  SpawnJob(Napi::Env env, uint64_t flags, Fd cgroup, int image, const Where& at, Napi::Function done,
           std::vector<uint8_t> message, std::vector<Fd> handles)
      : Napi::AsyncWorker(env, "runts.spawn"),
        done_(Napi::Persistent(done)),
        flags_(flags),
        cgroup_(static_cast<Fd&&>(cgroup)),
        image_(image),
        at_(at),
        message_(static_cast<std::vector<uint8_t>&&>(message)),
        handles_(static_cast<std::vector<Fd>&&>(handles)) {}
  // An init that nobody took over, because a worker ended meanwhile, ends here.
  ~SpawnJob() override { abandon(&spawned_); }

 protected:
  void Execute() override {
    result_ = image_ < 0 ? image_ : spawn_init(at_, flags_, cgroup_.get(), image_, errand(), &spawned_);
    bool denied = result_ == -EACCES || result_ == -EPERM;
    if (image_ < 0 || (denied && at_.step == kStepExecve)) from_file();
  }

  void OnOK() override {
    Napi::Env env = Env();
    if (result_ < 0) return call_back(env, done_, {failure(env, at_, result_)});
    Handle* channel = Handle::make(env, static_cast<Fd&&>(spawned_.channel));
    Handle* process = Handle::make(env, static_cast<Fd&&>(spawned_.process));
    if (!channel || !process) return;
    Napi::Object object = Napi::Object::New(env);
    object.Set("pid", Napi::Number::New(env, spawned_.pid));
    object.Set("process", process->Value());
    object.Set("channel", channel->Value());
    call_back(env, done_, {object});
    spawned_.channel = channel->take();
    if (spawned_.channel.ok()) spawned_.process = process->take();
  }

 private:
  Errand errand() const { return {message_.data(), message_.size(), handles_.data(), handles_.size()}; }

  // Where memory must not be executed: vm.memfd_noexec, or a security module.
  void from_file() {
    Where at;
    Fd file(file_image(at));
    int result = file.ok() ? spawn_init(at, flags_, cgroup_.get(), file.get(), errand(), &spawned_) : file.get();
    if (result < 0) return;  // why memory was refused says more
    result_ = result;
  }

  Napi::FunctionReference done_;
  uint64_t flags_;
  Fd cgroup_;
  int image_;
  Where at_;
  std::vector<uint8_t> message_;
  std::vector<Fd> handles_;
  int result_ = -EIO;
  Spawned spawned_;
};

// Descriptors of our own: the caller's may be closed while the job waits for its thread.
int duplicates(const Napi::Array& handles, std::vector<Fd>* to) {
  for (uint32_t i = 0; i < handles.Length(); i++) {
    Fd fd = duplicate(fd_of(handles.Get(i)));
    if (!fd.ok()) return fd.get();
    to->push_back(static_cast<Fd&&>(fd));
  }
  return 0;
}

}  // namespace

Napi::Value spawn(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  State& state = State::of(env);
  Where at;
  Fd cgroup;
  if (!info[1].IsUndefined()) {
    cgroup = duplicate(fd_of(info[1]));
    if (!cgroup.ok()) return failure(env, Where{kStepFcntl, "cgroup"}, cgroup.get());
  }
  std::vector<uint8_t> message;
  std::vector<Fd> handles;
  if (!info[3].IsUndefined()) {
    Bytes bytes = bytes_of(info[3]);
    message.assign(bytes.data, bytes.data + bytes.size);
    int r = duplicates(info[4].As<Napi::Array>(), &handles);
    if (r < 0) return failure(env, Where{kStepFcntl, "handle"}, r);
  }
  if (!state.image.ok()) state.image = Fd(sealed_image(at));
  auto* job = new SpawnJob(env, flags_of(info[0]), static_cast<Fd&&>(cgroup), state.image.get(), at,
                           info[2].As<Napi::Function>(), static_cast<std::vector<uint8_t>&&>(message),
                           static_cast<std::vector<Fd>&&>(handles));
  job->Queue();
  return env.Undefined();
}

}  // namespace runts
