// The last steps before the command, in the order of runts: session, keyring, descriptors, privileges, filter.
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "limit.h"

// chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service net_raw sys_chroot mknod audit_write setfcap
static const uint64_t kDefaultCapabilities = 0xa80425fb;
enum { kSignals = 64, kPermissions = 0x3f1b0000 };

static void find(const char* command) {
  struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS};
  struct statx is;
  int fd = (int)must(syscall(SYS_openat2, AT_FDCWD, command, &how, sizeof how), command);
  must(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_TYPE, &is), command);
  must(syscall(SYS_faccessat2, fd, "", X_OK, AT_EMPTY_PATH), command);
  close(fd);
}

static void join_keyring(void) {
  long ring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "_ses.limit");
  if (ring >= 0) (void)syscall(SYS_keyctl, KEYCTL_SETPERM, ring, kPermissions);
}

static void connect_output(void) {
  int null = (int)must(open("/dev/null", O_RDWR | O_NOCTTY | O_CLOEXEC), "/dev/null");
  for (int fd = 0; fd < 2; fd++) must(dup3(null, fd, 0), "dup3");
  must(syscall(SYS_close_range, 3, ~0u, 0), "close_range");
}

static void drop_privileges(const struct Settings* settings) {
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
  for (int c = 0; c <= CAP_LAST_CAP; c++) {
    if (!(kDefaultCapabilities >> c & 1)) must(prctl(PR_CAPBSET_DROP, c, 0, 0, 0), "bounding");
  }
  if (!settings->user) must(syscall(SYS_setgroups, 0, NULL), "setgroups");
  must(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "keepcaps");
  must(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
  must(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {{0}};
  data[0].effective = data[0].permitted = (uint32_t)kDefaultCapabilities;
  must(syscall(SYS_capset, &header, data), "capset");
  must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient");
  must(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0), "pdeathsig");
}

_Noreturn void become(const struct Settings* settings, bool filtered, const char* command) {
  must(chdir("/"), "chdir");
  find(command);
  must(setsid(), "setsid");
  join_keyring();
  connect_output();
  umask(022);
  drop_privileges(settings);
  if (filtered) {
    struct sock_fprog program = {(unsigned short)(settings->filter_bytes / 8), (struct sock_filter*)settings->filter};
    unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
    must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program), "seccomp");
  }
  for (int s = 1; s <= kSignals; s++) {
    struct {
      void* handler;
      unsigned long flags, restorer, mask;
    } ordinary = {0};
    (void)syscall(SYS_rt_sigaction, s, &ordinary, NULL, 8);  // two of them are not ours to set
  }
  char* const argv[] = {(char*)command, NULL};
  char* const env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
  execve(command, argv, env);
  give_up(command);
}
