#include "look.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "reading.h"
#include "value.h"

namespace runts {

namespace {

// A byte more than there was tells of more.
bool has_bytes(int file, const std::vector<uint8_t>& bytes) {
  struct stat status;
  if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return false;
  std::vector<uint8_t> found(bytes.size() + 1);
  size_t size = 0;
  while (size < found.size()) {
    long n = sys(__NR_read, file, found.data() + size, found.size() - size);
    if (n < 0) return false;
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  return size == bytes.size() && memcmp(found.data(), bytes.data(), size) == 0;
}

bool is_so(const Look& look) {
  const char* path = look.path.c_str();
  if (look.straight) return is_straight(path);
  if (look.root.empty()) {
    Fd file(static_cast<int>(sys(__NR_openat, AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)));
    return file.ok() && has_bytes(file.get(), look.bytes);
  }
  Fd root(static_cast<int>(sys(__NR_openat, AT_FDCWD, look.root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  if (!root.ok()) return false;
  Where at;
  Fd file(open_file_below(at, root.get(), path));
  return look.missing ? file.get() == -ENOENT : file.ok() && has_bytes(file.get(), look.bytes);
}

bool has(const Napi::Object& object, const char* name) { return !object.Get(name).IsUndefined(); }

}  // namespace

int as_it_was(Where& at, const Looks& looks) {
  if (!looks) return 0;
  for (const Look& look : *looks) {
    if (!is_so(look)) return check(at, kStepOpen, look.path.c_str(), -ESTALE);
  }
  return 0;
}

Napi::Value make_looks(const Napi::CallbackInfo& info) {
  auto list = info[0].As<Napi::Array>();
  auto* looks = new Looks(std::make_shared<std::vector<Look>>(list.Length()));
  for (uint32_t i = 0; i < list.Length(); i++) {
    auto from = list.Get(i).As<Napi::Object>();
    Look& look = (**looks)[i];
    look.path = text_of(from.Get("path"));
    if (has(from, "root")) look.root = text_of(from.Get("root"));
    look.straight = has(from, "straight");
    look.missing = !has(from, "bytes");
    if (look.missing) continue;
    Bytes bytes = bytes_of(from.Get("bytes"));
    look.bytes.assign(bytes.data, bytes.data + bytes.size);
  }
  return Napi::External<Looks>::New(info.Env(), looks, [](Napi::Env, Looks* all) { delete all; });
}

Looks looks_of(const Napi::Value& value) {
  return value.IsExternal() ? *value.As<Napi::External<Looks>>().Data() : nullptr;
}

}  // namespace runts
