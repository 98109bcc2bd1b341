#include "image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "init_image.gen.h"

// Newer than some headers we are built with.
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

namespace runts {

namespace {

int write_all(Where& at, int fd) {
  long written = sys(__NR_write, fd, kInitImage, sizeof kInitImage);
  if (written < 0) return check(at, kStepWrite, written);
  return written == static_cast<long>(sizeof kInitImage) ? 0 : check(at, kStepWrite, -EIO);
}

// Low numbers are where the child puts its standard descriptors and its channel.
int above_standard(Where& at, Fd fd) {
  if (fd.get() > 3) return fd.release();
  return check(at, kStepFcntl, sys(__NR_fcntl, fd.get(), F_DUPFD_CLOEXEC, 4));
}

}  // namespace

int sealed_image(Where& at) {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  long fd = sys(__NR_memfd_create, "runts-init", kFlags | MFD_EXEC);
  if (fd == -EINVAL) fd = sys(__NR_memfd_create, "runts-init", kFlags);  // before 6.3 each memfd was executable
  Fd image(check(at, kStepOpen, "memfd runts-init", fd));
  if (!image.ok()) return image.get();
  int r = write_all(at, image.get());
  if (r < 0) return r;
  constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  long sealed = sys(__NR_fcntl, image.get(), F_ADD_SEALS, kSeals | F_SEAL_EXEC);
  if (sealed == -EINVAL) sealed = sys(__NR_fcntl, image.get(), F_ADD_SEALS, kSeals);
  if (sealed < 0) return check(at, kStepFcntl, sealed);
  return above_standard(at, static_cast<Fd&&>(image));
}

namespace {

// Reopened for reading only, because what is open for writing cannot be executed.
int unnamed_file(Where& at, const char* directory) {
  Fd writable(
      check(at, kStepOpen, directory, sys(__NR_openat, AT_FDCWD, directory, O_TMPFILE | O_RDWR | O_CLOEXEC, 0500)));
  if (!writable.ok()) return writable.get();
  int r = write_all(at, writable.get());
  if (r < 0) return r;
  char path[32];
  snprintf(path, sizeof path, "/proc/self/fd/%d", writable.get());
  Fd image(check(at, kStepOpen, directory, sys(__NR_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC)));
  return image.ok() ? above_standard(at, static_cast<Fd&&>(image)) : image.get();
}

}  // namespace

int file_image(Where& at) {
  constexpr const char* kDirectories[] = {"/dev/shm", "/tmp", "/var/tmp"};
  int fd = -ENOENT;
  for (const char* directory : kDirectories) {
    fd = unnamed_file(at, directory);
    if (fd >= 0) break;
  }
  return fd;
}

}  // namespace runts
