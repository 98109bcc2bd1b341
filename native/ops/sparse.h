// The content of a file, from a stream: blocks of zeros become holes.
#pragma once
#include <string.h>

#include "result.h"
#include "source.h"

namespace runts {

class SparseFile {
 public:
  SparseFile(Where& at, int file) : at_(at), file_(file) {}

  // As many bytes as that, of the next that come.
  int write(Source& source, uint64_t size) {
    for (uint64_t offset = 0; offset < size;) {
      const uint8_t* bytes;
      size_t some;
      int r = source.some(size - offset, &bytes, &some);
      if (r >= 0) r = write_piece(bytes, some, offset);
      if (r < 0) return r;
      offset += some;
    }
    return written_ == size ? 0 : check(at_, kStepWrite, sys(__NR_ftruncate, file_, size));
  }

 private:
  static constexpr size_t kBlock = 4096;

  static bool is_zero(const uint8_t* block) {
    for (size_t i = 0; i < kBlock; i += sizeof(uint64_t)) {
      uint64_t word;
      memcpy(&word, block + i, sizeof word);
      if (word) return false;
    }
    return true;
  }

  int write_piece(const uint8_t* bytes, size_t size, uint64_t offset) {
    size_t from = 0, at = 0;
    // Up to the first block of the file that begins in this piece.
    if (offset % kBlock != 0) at = kBlock - offset % kBlock;
    while (at + kBlock <= size) {
      bool zero = is_zero(bytes + at);
      if (zero) {
        int r = write_all(bytes + from, at - from, offset + from);
        if (r < 0) return r;
      }
      at += kBlock;
      if (zero) from = at;
    }
    return from < size ? write_all(bytes + from, size - from, offset + from) : 0;
  }

  int write_all(const uint8_t* bytes, size_t size, uint64_t offset) {
    while (size > 0) {
      long n = sys(__NR_pwrite64, file_, bytes, size, offset);
      if (n == -EINTR) continue;
      if (n <= 0) return check(at_, kStepWrite, n == 0 ? -EIO : n);
      bytes += n;
      size -= static_cast<size_t>(n);
      offset += static_cast<uint64_t>(n);
      written_ = offset;
    }
    return 0;
  }

  Where& at_;
  int file_;
  uint64_t written_ = 0;
};

}  // namespace runts
