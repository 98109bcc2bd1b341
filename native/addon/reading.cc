#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>

#include <string>
#include <vector>

#include "../ops/path.h"
#include "handle.h"
#include "value.h"

namespace runts {

namespace {

// The whole of a regular file, of so many bytes at most: one more tells that there is more.
class ReadJob : public Napi::AsyncWorker {
 public:
  ReadJob(Napi::Env env, std::string path, size_t most)
      : Napi::AsyncWorker(env, "runts.read"),
        promise_(Napi::Promise::Deferred::New(env)),
        path_(std::move(path)),
        most_(most) {}
  Napi::Promise promise() const { return promise_.Promise(); }

 protected:
  void Execute() override {
    error_ = read_all();
  }
  void OnOK() override {
    if (error_ < 0) return promise_.Resolve(failure(Env(), at_, error_));
    promise_.Resolve(copy_bytes(Env(), bytes_.data(), bytes_.size()));
  }

 private:
  int read_all() {
    const char* path = path_.c_str();
    // A fifo without a writer would keep the thread.
    Fd file(check(at_, kStepOpen, path, sys(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)));
    if (!file.ok()) return file.get();
    struct stat status;
    if (fstat(file.get(), &status) != 0) return check(at_, kStepFstat, path, -errno);
    // Whatever is no file may have nothing to say yet.
    if (!S_ISREG(status.st_mode)) return check(at_, kStepOpen, path, -ESPIPE);
    // Files of procfs have no size.
    size_t room = static_cast<size_t>(status.st_size) + 1;
    for (size_t size = 0;; room = 2 * bytes_.size()) {
      if (room < 4096) room = 4096;
      bytes_.resize(room > most_ + 1 ? most_ + 1 : room);
      while (size < bytes_.size()) {
        long n = sys(__NR_read, file.get(), bytes_.data() + size, bytes_.size() - size);
        if (n < 0) return check(at_, kStepRead, path, n);
        size += static_cast<size_t>(n);
        if (n != 0) continue;
        bytes_.resize(size);
        return 0;
      }
      if (size > most_) return 0;
    }
  }

  Napi::Promise::Deferred promise_;
  std::string path_;
  size_t most_;
  std::vector<uint8_t> bytes_;
  Where at_;
  int error_ = 0;
};

class StraightJob : public Napi::AsyncWorker {
 public:
  StraightJob(Napi::Env env, std::string path)
      : Napi::AsyncWorker(env, "runts.look"), promise_(Napi::Promise::Deferred::New(env)), path_(std::move(path)) {}
  Napi::Promise promise() const { return promise_.Promise(); }

 protected:
  void Execute() override {
    straight_ = is_straight(path_.c_str());
  }
  void OnOK() override { promise_.Resolve(Napi::Boolean::New(Env(), straight_)); }

 private:
  Napi::Promise::Deferred promise_;
  std::string path_;
  bool straight_ = false;
};

// readFile(path, most) -> Promise<Uint8Array | failure>: ESPIPE when it is not a regular file.
Napi::Value read_file(const Napi::CallbackInfo& info) {
  auto* job = new ReadJob(info.Env(), text_of(info[0]), static_cast<size_t>(number_of(info[1])));
  Napi::Promise promise = job->promise();
  job->Queue();
  return promise;
}

// isStraight(path) -> Promise<boolean>
Napi::Value look_straight(const Napi::CallbackInfo& info) {
  auto* job = new StraightJob(info.Env(), text_of(info[0]));
  Napi::Promise promise = job->promise();
  job->Queue();
  return promise;
}

}  // namespace

bool is_straight(const char* path) {
  struct open_how how = {};
  how.flags = O_PATH | O_DIRECTORY | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return Fd(static_cast<int>(sys(__NR_openat2, AT_FDCWD, path, &how, sizeof how))).ok();
}

// It is looked at before it is opened: to open a device does things, and to open a fifo waits.
int open_file_below(Where& at, int root, const char* path) {
  Fd found(open_below(at, root, path, O_PATH));
  if (!found.ok()) return found.get();
  int type = type_of(at, found.get());
  if (type < 0) return type;
  if (type != S_IFREG) return check(at, kStepOpen, path, type == S_IFDIR ? -EISDIR : -ENXIO);
  char self[32];
  snprintf(self, sizeof self, "/proc/self/fd/%d", found.get());
  return check(at, kStepOpen, path, sys(__NR_openat, AT_FDCWD, self, O_RDONLY | O_CLOEXEC | O_NONBLOCK));
}

void define_reading(Napi::Env env, Napi::Object exports) {
  exports.Set("readFile", Napi::Function::New<read_file>(env, "readFile"));
  exports.Set("isStraight", Napi::Function::New<look_straight>(env, "isStraight"));
}

}  // namespace runts
