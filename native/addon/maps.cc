#include "maps.h"

#include <fcntl.h>

#include "value.h"

namespace runts {

namespace {

int write_text(Where& at, int pid, const char* name, const std::string& text) {
  std::string path = "/proc/" + std::to_string(pid) + "/" + name;
  Fd file(check(at, kStepOpen, name, sys(__NR_openat, AT_FDCWD, path.c_str(), O_WRONLY | O_CLOEXEC)));
  if (!file.ok()) return file.get();
  return check(at, kStepWrite, name, sys(__NR_write, file.get(), text.data(), text.size()));  // all of it, or nothing
}

}  // namespace

IdMaps IdMaps::read(const Napi::Object& from) {
  return {text_of(from.Get("uids")), text_of(from.Get("gids")), text_of(from.Get("setgroups")) == "deny"};
}

int IdMaps::write(Where& at, int pid) const {
  int r = deny_setgroups ? write_text(at, pid, "setgroups", "deny") : 0;
  if (r >= 0) r = write_text(at, pid, "uid_map", uids);
  if (r >= 0) r = write_text(at, pid, "gid_map", gids);
  return r;
}

}  // namespace runts
