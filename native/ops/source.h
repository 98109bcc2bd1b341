// A stream that is read by stretches of any length; there is one in a process.
#pragma once
#include <string.h>

#include "result.h"

namespace runts {

constexpr size_t kBufferBytes = 512u << 10;
inline uint8_t source_buffer[kBufferBytes];

// What comes in, by stretches of any length.
class Source {
 public:
  Source(Where& at, int fd) : at_(at), fd_(fd) {}

  // The next `size` bytes in one piece; they are valid until the next call. -ENODATA at the end of the stream.
  int take(size_t size, const uint8_t** bytes) {
    if (size > kBufferBytes / 2) return check(at_, kStepRead, -EMSGSIZE);
    while (end_ - begin_ < size) {
      int r = fill();
      if (r < 0) return r;
    }
    *bytes = source_buffer + begin_;
    begin_ += size;
    return 0;
  }

  // What there is of the next `most` bytes, one at least.
  int some(uint64_t most, const uint8_t** bytes, size_t* size) {
    if (begin_ == end_) {
      int r = fill();
      if (r < 0) return r;
    }
    *size = end_ - begin_ < most ? end_ - begin_ : static_cast<size_t>(most);
    *bytes = source_buffer + begin_;
    begin_ += *size;
    return 0;
  }

 private:
  int fill() {
    if (begin_ == end_) begin_ = end_ = 0;
    if (begin_ > 0 && end_ == kBufferBytes) {
      memcpy(source_buffer, source_buffer + begin_, end_ - begin_);  // less than half of it, since `take` gives no more
      end_ -= begin_;
      begin_ = 0;
    }
    long n;
    do n = sys(__NR_read, fd_, source_buffer + end_, kBufferBytes - end_);
    while (n == -EINTR);
    if (n <= 0) return check(at_, kStepRead, n == 0 ? -ENODATA : n);
    end_ += static_cast<size_t>(n);
    return 0;
  }

  Where& at_;
  int fd_;
  size_t begin_ = 0, end_ = 0;
};

}  // namespace runts
