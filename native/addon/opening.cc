#include "opening.h"

#include <utility>

#include "handle.h"
#include "value.h"

namespace runts {

namespace {

class Opening : public Napi::AsyncWorker {
 public:
  Opening(Napi::Env env, std::function<int(Where&)> open)
      : Napi::AsyncWorker(env, "runts.open"),
        promise_(Napi::Promise::Deferred::New(env)),
        open_(std::move(open)) {}
  Napi::Promise promise() const { return promise_.Promise(); }

 protected:
  void Execute() override {
    error_ = open_(at_);
    if (error_ >= 0) file_.reset(error_);
  }
  void OnOK() override {
    if (!file_.ok()) return promise_.Resolve(failure(Env(), at_, error_));
    promise_.Resolve(new_handle(Env(), static_cast<Fd&&>(file_)));
  }

 private:
  Napi::Promise::Deferred promise_;
  std::function<int(Where&)> open_;
  Fd file_;
  Where at_;
  int error_ = 0;
};

}  // namespace

Napi::Promise open_on_pool(Napi::Env env, std::function<int(Where&)> open) {
  auto* job = new Opening(env, std::move(open));
  Napi::Promise promise = job->promise();
  job->Queue();
  return promise;
}

}  // namespace runts
