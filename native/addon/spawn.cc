#include "spawn.h"

#include <errno.h>

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
  SpawnJob(Napi::Env env, uint64_t flags, Fd cgroup, int image, const Where& at, Fd channel, Handle* ours,
           Napi::Function done)
      : Napi::AsyncWorker(env, "runts.spawn"),
        done_(Napi::Persistent(done)),
        flags_(flags),
        cgroup_(static_cast<Fd&&>(cgroup)),
        image_(image),
        at_(at),
        channel_(static_cast<Fd&&>(channel)),
        ours_(ours),
        ours_kept_(Napi::Persistent(ours->Value())) {}
  // An init that nobody took over, because a worker ended meanwhile, ends here.
  ~SpawnJob() override { abandon(&spawned_); }

 protected:
  void Execute() override {
    result_ = image_ < 0 ? image_ : spawn_init(at_, flags_, cgroup_.get(), image_, channel_.get(), &spawned_);
    bool denied = result_ == -EACCES || result_ == -EPERM;
    if (image_ < 0 || (denied && at_.step == kStepExecve)) from_file();
    channel_.reset();
  }

  void OnOK() override {
    Napi::Env env = Env();
    if (result_ < 0) {
      ours_->take().reset();  // and what was sent over it is closed
      return call_back(env, done_, {failure(env, at_, result_)});
    }
    Handle* process = Handle::make(env, static_cast<Fd&&>(spawned_.process));
    if (!process) return;
    Napi::Object object = Napi::Object::New(env);
    object.Set("pid", Napi::Number::New(env, spawned_.pid));
    object.Set("process", process->Value());
    object.Set("channel", ours_->Value());
    call_back(env, done_, {object});
    Fd left = ours_->take();
    if (left.ok()) spawned_.process = process->take();
  }

 private:
  // Where memory must not be executed: vm.memfd_noexec, or a security module.
  void from_file() {
    Where at;
    Fd file(file_image(at));
    int result = file.ok() ? spawn_init(at, flags_, cgroup_.get(), file.get(), channel_.get(), &spawned_) : file.get();
    if (result < 0) return;  // why memory was refused says more
    result_ = result;
  }

  Napi::FunctionReference done_;
  uint64_t flags_;
  Fd cgroup_;
  int image_;
  Where at_;
  Fd channel_;
  // By its address, for an environment that is being ended does not tell what an object is; the reference keeps it there.
  Handle* ours_;
  Napi::ObjectReference ours_kept_;
  int result_ = -EIO;
  Spawned spawned_;
};

}  // namespace

Napi::Value spawn(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  State& state = State::of(env);
  Where at;
  Fd cgroup;
  if (!info[1].IsUndefined()) {
    cgroup = duplicate(fd_of(info[1]));  // the caller's may be closed while the job waits for its thread
    if (!cgroup.ok()) return failure(env, Where{kStepFcntl, "cgroup"}, cgroup.get());
  }
  ChannelEnds ends;
  int r = open_channel(at, &ends);
  if (r < 0) return failure(env, at, r);
  Handle* ours = Handle::make(env, static_cast<Fd&&>(ends.ours));
  if (!ours) return env.Undefined();
  if (!state.image.ok()) state.image = Fd(sealed_image(at));
  auto* job = new SpawnJob(env, flags_of(info[0]), static_cast<Fd&&>(cgroup), state.image.get(), at,
                           static_cast<Fd&&>(ends.theirs), ours, info[2].As<Napi::Function>());
  job->Queue();
  return ours->Value();
}

}  // namespace runts
