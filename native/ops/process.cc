#include "process.h"

#include <linux/fcntl.h>
#include <linux/if.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/sockios.h>
#include <linux/stat.h>
#include <string.h>

#include "path.h"

namespace runts {

namespace {
constexpr int kSetMask = 2;  // SIG_SETMASK
}

int set_hostname(Where& at, const char* name) {
  return check(at, kStepSethostname, name, sys(__NR_sethostname, name, strlen(name)));
}

int set_domainname(Where& at, const char* name) {
  return check(at, kStepSetdomainname, name, sys(__NR_setdomainname, name, strlen(name)));
}

int link_up(Where& at, const char* name) {
  constexpr int kInet = 2, kDatagram = 2, kCloexec = O_CLOEXEC;
  struct ifreq request = {};
  at.detail = name;
  if (strlen(name) >= sizeof request.ifr_name) return check(at, kStepIoctl, -ENAMETOOLONG);
  memcpy(request.ifr_name, name, strlen(name));
  Fd socket(check(at, kStepSocket, sys(__NR_socket, kInet, kDatagram | kCloexec, 0)));
  if (!socket.ok()) return socket.get();
  int r = check(at, kStepIoctl, sys(__NR_ioctl, socket.get(), SIOCGIFFLAGS, &request));
  if (r < 0) return r;
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
  return check(at, kStepIoctl, sys(__NR_ioctl, socket.get(), SIOCSIFFLAGS, &request));
}

int set_rlimit(Where& at, uint32_t resource, uint64_t soft, uint64_t hard) {
  uint64_t limit[2] = {soft, hard};
  return check(at, kStepSetrlimit, sys(__NR_prlimit64, 0, resource, limit, nullptr));
}

int change_directory(Where& at, const char* path) {
  char cwd[4096 + 16];
  int r = check(at, kStepChdir, path, sys(__NR_chdir, path));
  if (r < 0) return r;
  long n = sys(__NR_getcwd, cwd, sizeof cwd);
  if (n < 0) return check(at, kStepGetcwd, n);
  return cwd[0] == '/' ? 0 : check(at, kStepOutsideRoot, -EPERM);
}

int new_keyring(Where& at, const char* name) {
  // Everything for who has it, to look at, read and link for its user as ever, and to be found by later commands.
  constexpr unsigned kPermissions = 0x3f1b0000;
  int key = check(at, kStepKeyctl, sys(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0));
  if (key < 0) return key;
  (void)sys(__NR_keyctl, KEYCTL_SETPERM, key, kPermissions, 0, 0);  // whoever made the one that we joined has done it
  return 0;
}

int executable(Where& at, const char* path) {
  constexpr int kExecute = 1;           // X_OK
  constexpr long kFaccessat2 = 439;     // newer than some headers we are built with
  struct open_how how = {};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_MAGICLINKS;
  Fd file(check(at, kStepOpenat2, path, sys(__NR_openat2, AT_FDCWD, path, &how, sizeof how)));
  if (file.get() == -ELOOP || file.get() == -ENOTDIR) return file.get() == -ELOOP ? -EACCES : -ENOENT;
  if (!file.ok()) return file.get();
  struct statx st;
  int r = check(at, kStepFstat, sys(__NR_statx, file.get(), "", AT_EMPTY_PATH, STATX_TYPE, &st));
  if (r < 0) return r;
  if ((st.stx_mode & kTypeBits) != kRegular) return check(at, kStepFaccessat, -EACCES);
  return check(at, kStepFaccessat, sys(kFaccessat2, file.get(), "", kExecute, AT_EMPTY_PATH));
}

int load_seccomp(Where& at, const void* filter, size_t size, uint64_t flags) {
  constexpr uint32_t kSetModeFilter = 1;
  // A length that does not fit would be the filter's beginning only; the kernel takes 4096 at most anyway.
  if (size % 8 || size / 8 > 0xffff) return check(at, kStepSeccomp, -EINVAL);
  struct {
    uint16_t length;
    const void* filter;
  } program = {static_cast<uint16_t>(size / 8), filter};
  return check(at, kStepSeccomp, sys(__NR_seccomp, kSetModeFilter, flags, &program));
}

namespace {
struct Action {  // the kernel's struct sigaction, the handler first: all zeros is SIG_DFL with an empty mask
  uint64_t words[4];
};
}  // namespace

void ignore_children(bool ignored) {
  constexpr int kSigchld = 17, kMaskBytes = 8;
  Action action = {{ignored ? 1u /* SIG_IGN */ : 0u}};
  (void)sys(__NR_rt_sigaction, kSigchld, &action, nullptr, kMaskBytes);  // cannot fail with these arguments
}

void reset_signals() {
  constexpr int kMaskBytes = 8;
  Action action = {};
  for (int signal = 1; signal <= 64; signal++) {
    (void)sys(__NR_rt_sigaction, signal, &action, nullptr, kMaskBytes);  // SIGKILL and SIGSTOP refuse; fine
  }
}

void unblock_signals() {
  uint64_t none = 0;
  ignore_children(false);
  (void)sys(__NR_rt_sigprocmask, kSetMask, &none, nullptr, sizeof none);
}

void block_signals() {
  uint64_t all = ~0ull;
  (void)sys(__NR_rt_sigprocmask, kSetMask, &all, nullptr, sizeof all);
}

}  // namespace runts
