#include "spawn.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "channel.h"
#include "clone.h"
#include "errand.h"
#include "handle.h"
#include "image.h"
#include "look.h"
#include "low.h"
#include "maps.h"
#include "stay.h"
#include "value.h"
#include "watch.h"
#include "zygote.h"

namespace runts {

namespace {

// How long a zygote may take: one that is slower is stuck. And where somebody waits for an end, and not for an init.
constexpr uint32_t kZygoteMs = 5000, kEndMs = 200;

// By which an init is made, and which it has.
class OurRights {
 public:
  OurRights() : ids_{getuid(), geteuid(), getgid(), getegid()} {
    __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    (void)sys(__NR_capget, &header, sets_);  // cannot fail with this version
  }
  bool operator==(const OurRights& other) const {
    return memcmp(ids_, other.ids_, sizeof ids_) == 0 && memcmp(sets_, other.sets_, sizeof sets_) == 0;
  }

 private:
  uint32_t ids_[4];
  __user_cap_data_struct sets_[_LINUX_CAPABILITY_U32S_3] = {};
};

// On a thread of the pool, because a vfork stops the thread that calls it until the exec.
class SpawnJob : public Napi::AsyncWorker {
 public:
  // `image` may be -errno: there is none, since `at`.
  // `ours` is our end of the channel; without one the job makes the channel.
  SpawnJob(Napi::Env env, uint64_t flags, Fd cgroup, int image, const Where& at, Fd theirs, Handle* ours, Looks looks,
           Errand errand, IdMaps maps, Napi::Function done)
      : Napi::AsyncWorker(env, "runts.spawn"),
        done_(Napi::Persistent(done)),
        flags_(flags),
        cgroup_(static_cast<Fd&&>(cgroup)),
        image_(image),
        at_(at),
        ours_(ours),
        looks_(std::move(looks)),
        errand_(std::move(errand)),
        maps_(std::move(maps)) {
    channel_.theirs = static_cast<Fd&&>(theirs);
    if (ours_) ours_kept_ = Napi::Persistent(ours_->Value());
  }
  // One that a zygote is asked for, with its errand.
  SpawnJob(Napi::Env env, Fd channel, Fd zygote, Errand errand)
      : Napi::AsyncWorker(env, "runts.spawn"), zygote_(static_cast<Fd&&>(zygote)), errand_(std::move(errand)) {
    channel_.ours = static_cast<Fd&&>(channel);
  }
  // An init that nobody took over ends here: a worker ended meanwhile, nobody could be told of it, or nobody has let it go.
  ~SpawnJob() override {
    if (zygote_.ok() && !begun_) meet_it(kEndMs, 1);
    // To hear of a child takes a descriptor.
    errand_.outputs().clear();
    abandon(channel_.ours.get(), &spawned_, errand_.is_left() && refused_ == 0 ? children_ : 0, &story_);
  }

  // On the thread of the program: why a zygote was not asked, where it may be asked again; and why an init was not let go.
  void refused(int error) { refused_ = error; }

  void tell(Napi::Function done) { done_ = Napi::Persistent(done); }

  // It is one that waits.
  void wait() { waits_ = true; }
  // Nobody wants it any more.
  void end() { ends_ = true; }

  void stay(uint32_t milliseconds, uint32_t children) {
    stay_ms_ = milliseconds;
    children_ = children;
  }

  Fd channel() const { return duplicate(channel_.ours.get()); }

  // Whether who asked for it had the rights that we have now.
  bool same_rights() const { return rights_ == OurRights(); }

 protected:
  void Execute() override {
    if (zygote_.ok()) meet_it(ends_ ? kEndMs : kZygoteMs, ends_ ? 1 : 2);
    else begin();
    if (ends_) return abandon(channel_.ours.get(), &spawned_, 0, &story_);
    bool stays = result_ == 0 && stay_ms_ > 0 && errand_.is_left();
    if (stays) runts::stay(channel_.ours.get(), spawned_, stay_ms_, children_, &story_);
    if (story_.ended) channel_.ours.reset();
    // It has ended where it waited, or on its way to the command.
    if (waits_ && children_ > 0 && story_.ended && story_.pid == spawned_.pid) refused_ = -EPIPE;
    if (!story_.ended || !story_.plain()) return;
    spawned_.process.reset();  // nobody has any use for either
    read_outputs(&errand_.outputs(), &story_);
  }

  void OnOK() override {
    Napi::Env env = Env();
    if (ends_ && refused_ == 0) return call_back(env, done_, {});
    if (refused_ < 0) result_ = check(at_, kStepSendmsg, refused_);
    if (result_ < 0) {
      if (ours_) ours_->take().reset();  // and what was sent over it is closed
      return call_back(env, done_, {failure(env, at_, result_)});
    }
    if (!spawned_.process.ok()) return tell_plainly(env, story_, &errand_.outputs(), done_);
    Napi::Object object = Napi::Object::New(env);
    napi_value pid = Napi::Number::New(env, spawned_.pid);
    if (napi_set_named_property(env, object, "pid", pid) != napi_ok) return;  // JavaScript cannot run any more
    if (channel_.ours.ok()) {
      ours_ = Handle::make(env, static_cast<Fd&&>(channel_.ours));
      if (!ours_) return;
    }
    Handle* process = Handle::make(env, static_cast<Fd&&>(spawned_.process));
    if (!process) return;
    object.Set("process", process->Value());
    if (ours_) object.Set("channel", ours_->Value());
    if (map_result_ < 0) object.Set("unmapped", failure(env, map_at_, map_result_));
    object.Set("mapped", Napi::Boolean::New(env, !maps_.empty() && map_result_ >= 0));
    object.Set("errand", Napi::Boolean::New(env, errand_.is_left()));
    Napi::Array outputs = Napi::Array::New(env);
    for (Fd& output : errand_.outputs()) outputs.Set(outputs.Length(), new_handle(env, static_cast<Fd&&>(output)));
    object.Set("outputs", outputs);
    runts::tell(env, &story_, object);
    call_back(env, done_, {object});
    if (!ours_) return;
    channel_.ours = ours_->take();
    if (channel_.ours.ok()) spawned_.process = process->take();
  }

 private:
  void begin() {
    Where before;
    result_ = as_it_was(before, looks_);
    if (result_ == 0 && !ours_) result_ = open_channel(before, &channel_);
    // An init without maps must not begin.
    if (result_ == 0 && maps_.empty()) result_ = errand_.leave(before, channel_.ours.get());
    if (result_ == 0) make();
    else at_ = before;
    if (result_ == 0 && !maps_.empty()) map();
    channel_.theirs.reset();
  }

  void meet_it(uint32_t milliseconds, int processes) {
    begun_ = true;
    result_ = meet(at_, channel_.ours.get(), zygote_.get(), milliseconds, processes, &spawned_);
    zygote_.reset();
  }

  void make() {
    Low low(channel_.theirs.get(), image_);
    result_ = image_ < 0 ? image_ : spawn_init(at_, flags_, cgroup_.get(), image_, channel_.theirs.get(), &spawned_, low.seats());
    bool denied = result_ == -EACCES || result_ == -EPERM;
    if (image_ < 0 || (denied && at_.step == kStepExecve)) from_file();
  }

  void map() {
    map_result_ = maps_.write(map_at_, spawned_.pid);
    Where at;
    if (map_result_ >= 0) (void)errand_.leave(at, channel_.ours.get());  // it has ended otherwise, and its end says so
  }

  // Where memory must not be executed: vm.memfd_noexec, or a security module.
  void from_file() {
    Where at;
    Fd file(file_image(at));
    int result = file.ok() ? spawn_init(at, flags_, cgroup_.get(), file.get(), channel_.theirs.get(), &spawned_) : file.get();
    if (result < 0) return;  // why memory was refused says more
    result_ = result;
  }

  Napi::FunctionReference done_;
  uint64_t flags_ = 0;
  Fd cgroup_;
  int image_ = -EIO;
  Fd zygote_;
  bool begun_ = false, waits_ = false, ends_ = false;
  OurRights rights_;
  Where at_;
  ChannelEnds channel_;  // our end, as long as it is no handle
  // By its address, for an environment that is being ended does not tell what an object is; the reference keeps it there.
  // Null for as long as it has no use for anybody else: of an errand at hand.
  Handle* ours_ = nullptr;
  Napi::ObjectReference ours_kept_;
  uint32_t stay_ms_ = 0, children_ = 0;
  std::atomic<int> refused_{0};
  Looks looks_;
  Errand errand_;
  IdMaps maps_;
  int map_result_ = 0;
  Where map_at_;
  Story story_;
  int result_ = -EIO;
  Spawned spawned_;
};

uint32_t count_of(const Napi::Value& value) { return value.IsUndefined() ? 0 : static_cast<uint32_t>(number_of(value)); }

// An init that waits, and that nobody has let go yet: it ends with this.
using Waiting = std::unique_ptr<SpawnJob>;

// What a zygote is asked for: its channel, a pidfd of it, and where the init is to be born; from some argument on, its errand.
struct Request {
  Where at;
  std::unique_ptr<SpawnJob> job;
  Fd theirs;  // closed before the job, which hears of that
  int zygote = -1, cgroup = -1;

  int read(const Napi::CallbackInfo& info, size_t letter) {
    Fd process = duplicate(fd_of(info[1]));
    if (!process.ok()) return check(at, kStepFcntl, "zygote", process.get());
    Errand errand;
    ChannelEnds ends;
    int r = Errand::read(at, info[letter], info[letter + 1].As<Napi::Array>(), info[letter + 2], &errand);
    if (r == 0) r = open_channel(at, &ends);
    if (r == 0) r = errand.leave(at, ends.ours.get());
    zygote = Channel::fd_of(info[0]);
    if (r == 0 && zygote < 0) r = check(at, kStepSendmsg, -EPIPE);  // it has ended, and that is known
    if (!info[2].IsUndefined()) cgroup = fd_of(info[2]);
    if (r == 0 && cgroup < 0 && !info[2].IsUndefined()) r = check(at, kStepClone, "cgroup", -EBADF);
    if (r < 0) return r;
    theirs = static_cast<Fd&&>(ends.theirs);
    job = std::make_unique<SpawnJob>(info.Env(), static_cast<Fd&&>(ends.ours), static_cast<Fd&&>(process), std::move(errand));
    return 0;
  }

  int ask() { return runts::ask(at, zygote, theirs.get(), cgroup); }
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
  Errand errand;
  if (!info[6].IsUndefined()) {
    int r = Errand::read(at, info[6], info[7].As<Napi::Array>(), info[8], &errand);
    if (r < 0) return failure(env, at, r);
  }
  IdMaps maps = info[5].IsUndefined() ? IdMaps() : IdMaps::read(info[5].As<Napi::Object>());
  Handle* ours = nullptr;
  Fd theirs;
  // Of an errand at hand the channel has no use for anybody else yet.
  if (errand.empty()) {
    ChannelEnds ends;
    int r = open_channel(at, &ends);
    if (r < 0) return failure(env, at, r);
    theirs = static_cast<Fd&&>(ends.theirs);
    ours = Handle::make(env, static_cast<Fd&&>(ends.ours));
    if (!ours) return env.Undefined();
  }
  if (!state.image.ok()) {
    state.image = Fd(sealed_image(at));
    if (state.image.ok()) Low::reserve(state.image.get());
  }
  auto* job = new SpawnJob(env, flags_of(info[0]), static_cast<Fd&&>(cgroup), state.image.get(), at,
                           static_cast<Fd&&>(theirs), ours, looks_of(info[4]), std::move(errand), std::move(maps),
                           info[2].As<Napi::Function>());
  job->stay(count_of(info[3]), count_of(info[9]));
  job->Queue();
  return ours ? ours->Value() : env.Undefined();
}

Napi::Value spawn_by(const Napi::CallbackInfo& info) {
  Request request;
  int r = request.read(info, 6);
  if (r < 0) return failure(info.Env(), request.at, r);
  SpawnJob* job = request.job.release();
  job->tell(info[3].As<Napi::Function>());
  job->stay(count_of(info[4]), count_of(info[5]));
  // First: the zygote begins on our processor as soon as we wait. Where it cannot be asked, the channel ends here, and the job hears that.
  job->Queue();
  int asked = request.ask();
  if (asked < 0) job->refused(asked);
  return info.Env().Undefined();
}

Napi::Value spawn_ahead(const Napi::CallbackInfo& info) {
  Request request;
  int r = request.read(info, 3);
  if (r == 0) r = request.ask();
  if (r < 0) return failure(info.Env(), request.at, r);
  request.job->wait();
  return Napi::External<Waiting>::New(info.Env(), new Waiting(std::move(request.job)), [](Napi::Env, Waiting* waiting) { delete waiting; });
}

Napi::Value let_go(const Napi::CallbackInfo& info) {
  SpawnJob* job = info[0].As<Napi::External<Waiting>>().Data()->release();
  expect(job, "one that was let go before");
  Bytes word = bytes_of(info[1]);
  job->tell(info[2].As<Napi::Function>());
  job->stay(count_of(info[3]), count_of(info[4]));
  Fd channel = job->channel();  // the job closes its own
  bool may = channel.ok() && job->same_rights();
  if (!may) {
    job->end();
    job->refused(-EPIPE);
  }
  job->Queue();  // first, as above
  long r = -EINTR;
  while (may && r == -EINTR) r = sys(__NR_sendto, channel.get(), word.data, word.size, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
  if (may && r < 0) job->refused(-EPIPE);
  return info.Env().Undefined();
}

Napi::Value end_ahead(const Napi::CallbackInfo& info) {
  SpawnJob* job = info[0].As<Napi::External<Waiting>>().Data()->release();
  expect(job, "one that was let go before");
  job->tell(info[1].As<Napi::Function>());
  job->end();
  job->Queue();
  return info.Env().Undefined();
}

}  // namespace runts
