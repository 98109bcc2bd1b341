#include "cgroups.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>

#include <string>

#include "../ops/cgroup.h"
#include "opening.h"
#include "value.h"

namespace runts {

namespace {

int open_resolved(int from, const char* path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | resolve;
  return static_cast<int>(sys(__NR_openat2, from, path, &how, sizeof how));
}

// Whether a path leads where it reads: it is absolute, no name in it is of dots, and it does not end before it ends.
bool is_plain(const std::string& path) {
  const std::string whole = path + "/";
  auto has = [&whole](const char* part) { return whole.find(part) != std::string::npos; };
  return path[0] == '/' && path.find('\0') == std::string::npos && !has("/./") && !has("/../");
}

// Opens what is at an absolute path of the cgroup v2 file system, which begins at the first directory on the way that is
// of it: the mount. From there on nothing leads away, no link and nothing that was mounted. -EXDEV: it is not of that
// file system at all.
int open_cgroup(Where& at, const std::string& path, uint64_t flags) {
  const char* whole = path.c_str();
  if (!is_plain(path)) return check(at, kStepOpenat2, whole, -EINVAL);
  for (size_t slash = path.find('/', 1);; slash = path.find('/', slash + 1)) {
    Fd base(open_resolved(AT_FDCWD, path.substr(0, slash).c_str(), O_PATH, 0));
    if (!base.ok()) return check(at, kStepOpenat2, whole, base.get());
    if (check_cgroup2(at, base.get()) == 0) {
      const char* rest = slash == std::string::npos ? "." : whole + slash + 1;
      // Beneath, and on the same mount: so what is found is of the same file system.
      return check(at, kStepOpenat2, whole,
                   open_resolved(base.get(), *rest ? rest : ".", flags, RESOLVE_BENEATH | RESOLVE_NO_XDEV));
    }
    if (slash == std::string::npos) return check(at, kStepOpenat2, whole, -EXDEV);
  }
}

// openCgroup(path, flags) -> Promise<Handle | failure>
Napi::Value open_cgroup_path(const Napi::CallbackInfo& info) {
  return open_on_pool(info.Env(), [path = text_of(info[0]), flags = flags_of(info[1])](Where& at) {
    return open_cgroup(at, path, flags);
  });
}

}  // namespace

void define_cgroups(Napi::Env env, Napi::Object exports) {
  exports.Set("openCgroup", Napi::Function::New<open_cgroup_path>(env, "openCgroup"));
}

}  // namespace runts
