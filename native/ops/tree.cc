#include "tree.h"

#include <linux/fcntl.h>
#include <linux/stat.h>
#include <string.h>

#include "../program/format.h"
#include "dirent.h"
#include "files.h"
#include "path.h"
#include "source.h"

namespace runts {

namespace {

constexpr size_t kOutBytes = 512u << 10, kRoom = 192u << 10, kAttributeBytes = 64u << 10;
constexpr int kNoSignal = 0x4000;  // MSG_NOSIGNAL

uint8_t out[kOutBytes];
char asked[kPathBytesMax + 1], attribute_names[kAttributeBytes];


bool is_gone(long r) { return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENXIO; }

class Reader {
 public:
  Reader(Where& at, int stream, int root) : at_(at), stream_(stream), root_(root), source_(at, stream) {}

  int run() {
    for (;;) {
      const uint8_t* bytes;
      Question question;
      int r = source_.take(sizeof question, &bytes);
      if (r < 0) return r;
      memcpy(&question, bytes, sizeof question);
      if (question.kind == kQuestionEnd) return 0;
      r = answer(question);
      if (r < 0) return r;
    }
  }

 private:
  int answer(const Question& question) {
    if (question.name == 0 || question.name > sizeof asked) return check(at_, kStepRead, -ENAMETOOLONG);
    const uint8_t* bytes;
    int r = source_.take(question.name, &bytes);
    if (r < 0) return r;
    memcpy(asked, bytes, question.name);
    if (asked[question.name - 1] != 0) return check(at_, kStepRead, -EBADMSG);
    bool lists = question.kind == kQuestionList;
    // O_NONBLOCK: should it be a fifo by now.
    int flags = O_RDONLY | O_NOFOLLOW | (lists ? O_DIRECTORY : O_NONBLOCK | O_NOCTTY);
    Fd file(open_below(at_, root_, asked, static_cast<uint64_t>(flags), 0, kNoLinks));
    if (!file.ok() && !is_gone(file.get())) return file.get();
    at_.detail = asked;
    r = !file.ok() ? 0 : lists ? list(file.get()) : content(file.get());
    if (r == 0) {
      Found nothing = {};
      r = put(&nothing, sizeof nothing);
    }
    return r < 0 ? r : flush();
  }

  int list(int directory) {
    // Extended attributes are asked for by path.
    int r = check(at_, kStepFchdir, sys(__NR_fchdir, directory));
    while (r >= 0) {
      alignas(8) static char buffer[32u << 10];
      long n = sys(__NR_getdents64, directory, buffer, sizeof buffer);
      // One that was removed meanwhile has nothing in it.
      if (n <= 0) return n == -ENOENT ? 0 : check(at_, kStepGetdents, n);
      for (long i = 0; r >= 0 && i < n;) {
        auto* entry = reinterpret_cast<const Dirent*>(buffer + i);
        i += entry->size;
        if (!is_dot(entry->name)) r = tell(directory, entry->name);
      }
    }
    return r;
  }

  // Its answer is put together where it is sent from: what is sent before makes room for the longest.
  int tell(int directory, const char* name) {
    int r = kOutBytes - end_ < kRoom ? flush() : 0;
    if (r < 0) return r;
    Found found;
    size_t begin = end_, at = end_ + sizeof found;
    r = look(directory, name, AT_SYMLINK_NOFOLLOW, &found);
    if (r < 0) return is_gone(r) ? 0 : r;
    found.name = static_cast<uint32_t>(strlen(name));
    memcpy(out + at, name, found.name);
    at += found.name;
    if ((found.mode & kTypeBits) == kLink) {
      long n = sys(__NR_readlinkat, directory, name, out + at, kPathBytesMax);
      if (n < 0) return is_gone(n) || n == -EINVAL ? 0 : check(at_, kStepOpenat2, n);
      found.target = static_cast<uint32_t>(n);
      at += found.target;
    }
    found.attributes = attributes(name, at);
    memcpy(out + begin, &found, sizeof found);
    end_ = at + found.attributes;
    return 0;
  }

  // Those that can be read; a file system may have none.
  uint32_t attributes(const char* name, size_t begin) {
    size_t at = begin;
    long size = sys(__NR_llistxattr, name, attribute_names, sizeof attribute_names);
    for (long i = 0; i < size;) {
      const char* key = attribute_names + i;
      uint32_t lengths[2] = {static_cast<uint32_t>(strlen(key)), 0};
      i += lengths[0] + 1;
      size_t value = at + sizeof lengths + lengths[0];
      if (value >= kOutBytes) break;
      long n = sys(__NR_lgetxattr, name, key, out + value, kOutBytes - value);
      if (n < 0) continue;
      lengths[1] = static_cast<uint32_t>(n);
      memcpy(out + at, lengths, sizeof lengths);
      memcpy(out + at + sizeof lengths, key, lengths[0]);
      at = value + static_cast<size_t>(n);
    }
    return static_cast<uint32_t>(at - begin);
  }

  // 1: answered. As many bytes as it had when we looked: zeros, where it has become shorter.
  int content(int file) {
    Found found;
    int r = look(file, "", AT_EMPTY_PATH, &found);
    if (r < 0 || (found.mode & kTypeBits) != kRegular) return r;
    r = put(&found, sizeof found);
    for (uint64_t rest = found.size; r >= 0 && rest > 0;) {
      if (end_ == kOutBytes && (r = flush()) < 0) break;
      size_t room = kOutBytes - end_ < rest ? kOutBytes - end_ : static_cast<size_t>(rest);
      long n = sys(__NR_read, file, out + end_, room);
      if (n < 0) return check(at_, kStepRead, n);
      if (n == 0) memset(out + end_, 0, room);
      size_t got = n == 0 ? room : static_cast<size_t>(n);
      end_ += got;
      rest -= got;
    }
    return r < 0 ? r : 1;
  }

  int look(int directory, const char* name, int flags, Found* found) {
    struct statx st;
    int r = check(at_, kStepFstat,
                  sys(__NR_statx, directory, name, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st));
    if (r < 0) return r;
    *found = {st.stx_nlink, st.stx_mode, st.stx_uid, st.stx_gid, st.stx_mtime.tv_sec, st.stx_ctime.tv_sec,
              st.stx_mtime.tv_nsec, st.stx_ctime.tv_nsec, 0, 0, 0, st.stx_rdev_major, st.stx_rdev_minor, 0,
              st.stx_size, st.stx_ino};
    return 0;
  }

  int put(const void* bytes, size_t size) {
    int r = kOutBytes - end_ < size ? flush() : 0;
    if (r < 0) return r;
    memcpy(out + end_, bytes, size);
    end_ += size;
    return 0;
  }

  int flush() {
    for (size_t at = 0; at < end_;) {
      long n = sys(__NR_sendto, stream_, out + at, end_ - at, kNoSignal, 0, 0);
      if (n == -EINTR) continue;
      if (n < 0) return check(at_, kStepWrite, n);
      at += static_cast<size_t>(n);
    }
    end_ = 0;
    return 0;
  }

  Where& at_;
  int stream_, root_;
  Source source_;
  size_t end_ = 0;
};

}  // namespace

int read_tree(Where& at, int stream, int root) { return Reader(at, stream, root).run(); }

}  // namespace runts
