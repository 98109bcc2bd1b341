#include "devices.h"

#include <vector>

#include "device_filter.h"
#include "handle.h"
#include "value.h"

namespace runts {

namespace {

// On a thread of the pool: the kernel proves and compiles the program.
class FilterDevices : public Napi::AsyncWorker {
 public:
  FilterDevices(Napi::Env env, Fd cgroup, std::vector<uint8_t> program)
      : Napi::AsyncWorker(env, "runts.devices"),
        promise_(Napi::Promise::Deferred::New(env)),
        cgroup_(static_cast<Fd&&>(cgroup)),
        program_(std::move(program)) {}
  Napi::Promise promise() const { return promise_.Promise(); }

 protected:
  void Execute() override { result_ = filter_devices(at_, cgroup_.get(), program_.data(), program_.size()); }
  void OnOK() override { promise_.Resolve(outcome(Env(), at_, result_)); }

 private:
  Napi::Promise::Deferred promise_;
  Fd cgroup_;
  std::vector<uint8_t> program_;
  Where at_;
  int result_ = 0;
};

// filterDevices(cgroup, program) -> Promise<undefined | failure>
Napi::Value start_filter(const Napi::CallbackInfo& info) {
  Fd cgroup = duplicate(fd_of(info[0]));
  if (!cgroup.ok()) return failure(info.Env(), Where{kStepFcntl, ""}, cgroup.get());
  Bytes bytes = bytes_of(info[1]);
  std::vector<uint8_t> program(bytes.data, bytes.data + bytes.size);
  auto* job = new FilterDevices(info.Env(), static_cast<Fd&&>(cgroup), std::move(program));
  Napi::Promise promise = job->promise();
  job->Queue();
  return promise;
}

}  // namespace

void define_devices(Napi::Env env, Napi::Object exports) {
  exports.Set("filterDevices", Napi::Function::New<start_filter>(env, "filterDevices"));
}

}  // namespace runts
