// What an op gives back: a number that is not negative (often a descriptor), or -errno with `Where` saying which system
// call it was and on what.
#pragma once
#include <asm/errno.h>

#include "../program/ops.gen.h"
#include "sys.h"

namespace runts {

struct Where {
  Step step = kStepOp;
  const char* detail = "";
};

// Passes a system call's result on; a failure is noted as having happened in `step`.
inline int check(Where& at, Step step, long result) {
  if (result < 0) at.step = step;
  return static_cast<int>(result);
}
inline int check(Where& at, Step step, const char* detail, long result) {
  at.detail = detail;
  return check(at, step, result);
}

// An owned descriptor: closed once, moved and never copied.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) : fd_(other.release()) {}
  Fd& operator=(Fd&& other) {
    if (this != &other) reset(other.release());
    return *this;
  }
  ~Fd() { reset(); }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void reset(int fd = -1) {
    if (fd_ >= 0) (void)sys(__NR_close, fd_);  // nothing to be done about a failing close
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace runts
