#include "blob.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "handle.h"
#include "value.h"

// Newer than some headers we are built with.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

namespace runts {

namespace {

// Its position is 0: whoever gets it reads from the beginning.
int sealed(Where& at, const Bytes& content) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  constexpr const char* kName = "runts-blob";
  long fd = sys(__NR_memfd_create, kName, kFlags | MFD_NOEXEC_SEAL);
  if (fd == -EINVAL) fd = sys(__NR_memfd_create, kName, kFlags);  // before 6.3
  Fd file(check(at, kStepOpen, "memfd", fd));
  if (!file.ok()) return file.get();
  for (size_t done = 0; done < content.size;) {
    long r = sys(__NR_pwrite64, file.get(), content.data + done, content.size - done, done);
    if (r <= 0) return check(at, kStepWrite, r < 0 ? r : -EIO);
    done += static_cast<size_t>(r);
  }
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
  int r = check(at, kStepFcntl, sys(__NR_fcntl, file.get(), F_ADD_SEALS, kSeals));
  return r < 0 ? r : file.release();
}

// blob(bytes) -> Handle | failure
Napi::Value blob(const Napi::CallbackInfo& info) {
  Where at;
  int fd = sealed(at, bytes_of(info[0]));
  return handle_or_failure(info.Env(), at, fd);
}

}  // namespace

void define_blob(Napi::Env env, Napi::Object exports) {
  exports.Set("blob", Napi::Function::New<blob>(env, "blob"));
}

}  // namespace runts
