// Docker's default container around a root file system, as the ops of runts make it: the same calls in the same order, with
// the looks before each step (openat2, statx) that keep what an image brings from leading astray.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limit.h"

enum {
  kPlain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
  kReadOnly = kPlain | MOUNT_ATTR_RDONLY,
  kCover = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC,
  kRecursive = 0x8000,  // AT_RECURSIVE
  kPrivate = 1 << 18,   // MS_PRIVATE
  kAllBelow = 1 << 14,  // MS_REC
  kDetach = 2,          // MNT_DETACH
};

static int look_below(int root, const char* path, uint64_t flags, uint64_t resolve) {
  struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve};
  return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static void look_at(int fd, const char* path, unsigned flags, unsigned mask) {
  struct statx is;
  must(syscall(SYS_statx, fd, path, flags, mask, &is), "statx");
}

static void set_attributes(int mount, uint64_t set, uint64_t propagation, unsigned flags) {
  struct mount_attr attributes = {.attr_set = set, .propagation = propagation};
  must(syscall(SYS_mount_setattr, mount, "", AT_EMPTY_PATH | flags, &attributes, sizeof attributes), "mount_setattr");
}

// A new file system; options are "key=value" or "key", the last is NULL.
static int make_mount(const char* type, const char* source, uint64_t attributes, const char* const* options) {
  int fs = (int)must(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
  must(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0), "fsconfig source");
  for (; options && *options; options += 2) {
    unsigned kind = options[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
    must(syscall(SYS_fsconfig, fs, kind, options[0], options[1], 0), options[0]);
  }
  must(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0), type);
  int mount = (int)must(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes), type);
  close(fs);
  return mount;
}

static void put(int mount, int target) {
  unsigned flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
  must(syscall(SYS_move_mount, mount, "", target, "", flags), "move_mount");
}

static int make_point(int root, const char* path, bool directory) {
  int above = (int)must(look_below(root, ".", O_PATH | O_DIRECTORY, 0), path);
  if (directory) must(mkdirat(above, path, 0755), path);
  else close((int)must(openat(above, path, O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644), path));
  int made = (int)must(look_below(root, path, O_PATH, 0), path);
  close(above);
  return made;
}

// `ordinary`: a directory of the image that must be none of its links.
static void attach(int mount, int root, const char* path, bool directory, bool ordinary) {
  look_at(mount, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE);
  int target = look_below(root, path, O_PATH, ordinary ? RESOLVE_NO_SYMLINKS : 0);
  if (target < 0) target = make_point(root, path, directory);
  if (ordinary) look_at(target, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE);
  put(mount, target);
  close(target);
}

static int copy_mount(const char* path) {
  return (int)must(syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC), path);
}

static const char* const devices[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"};
enum { kDevices = sizeof devices / sizeof *devices };

// Clones of what the container has of the host's mounts.
struct Taken {
  int root;
  int devices[kDevices];
};

static struct Taken take(const char* rootfs) {
  struct Taken taken;
  unsigned whole = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | kRecursive;
  taken.root = (int)must(syscall(SYS_open_tree, AT_FDCWD, rootfs, whole), rootfs);
  for (size_t i = 0; i < kDevices; i++) taken.devices[i] = copy_mount(devices[i]);
  return taken;
}

static void attach_devices(int dev, const int* clones) {
  for (size_t i = 0; i < kDevices; i++) {
    set_attributes(clones[i], kCover, kPrivate, 0);
    attach(clones[i], dev, devices[i] + 5, false, false);
  }
  static const char* const links[][2] = {{"fd", "/proc/self/fd"},
                                         {"stdin", "/proc/self/fd/0"},
                                         {"stdout", "/proc/self/fd/1"},
                                         {"stderr", "/proc/self/fd/2"},
                                         {"ptmx", "pts/ptmx"}};
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    int above = (int)must(look_below(dev, ".", O_PATH | O_DIRECTORY, 0), "/dev");
    must(symlinkat(links[i][1], above, links[i][0]), links[i][0]);
    close(above);
  }
}

static void mask(int root, const char* path, int null) {
  int target = look_below(root, path, O_PATH, 0);
  if (target < 0) return;
  struct statx is;
  must(syscall(SYS_statx, target, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_TYPE, &is), path);
  int cover;
  if ((is.stx_mode & 0170000) == 0040000) {
    cover = make_mount("tmpfs", "tmpfs", kReadOnly, NULL);
  } else {
    look_at(null, "", AT_EMPTY_PATH, STATX_TYPE);
    cover = (int)must(syscall(SYS_open_tree, null, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH), path);
    set_attributes(cover, kCover, 0, 0);
  }
  put(cover, target);
  close(cover);
  close(target);
}

static void make_readonly(int root, const char* path) {
  int target = look_below(root, path, O_PATH, 0);
  if (target < 0) return;
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | kRecursive;
  int copy = (int)must(syscall(SYS_open_tree, target, "", flags), path);
  set_attributes(copy, MOUNT_ATTR_RDONLY, 0, kRecursive);
  put(copy, target);
  close(copy);
  close(target);
}

static void cover_paths(int proc, int sys, int null) {
  static const char* const masked[] = {"acpi", "asound",      "interrupts", "kcore",      "keys",       "latency_stats",
                                       "sched_debug", "scsi", "timer_list", "timer_stats"};
  static const char* const readonly[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
  for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) mask(proc, masked[i], null);
  mask(sys, "devices/virtual/powercap", null);
  mask(sys, "firmware", null);
  for (size_t i = 0; i < sizeof readonly / sizeof *readonly; i++) make_readonly(proc, readonly[i]);
}

static void enter(int root) {
  must(fchdir(root), "fchdir");
  must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
  must(syscall(SYS_umount2, ".", kDetach), "umount2");
  must(chdir("/"), "chdir");
  look_at(root, "", AT_EMPTY_PATH, STATX_MNT_ID);
  look_at(AT_FDCWD, "/..", 0, STATX_MNT_ID);
}

static void raise_loopback(void) {
  int any = (int)must(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
  struct ifreq request = {.ifr_name = "lo"};
  must(ioctl(any, SIOCGIFFLAGS, &request), "SIOCGIFFLAGS");
  request.ifr_flags |= IFF_UP;
  must(ioctl(any, SIOCSIFFLAGS, &request), "SIOCSIFFLAGS");
  close(any);
}

// What the host has mounted is not copied, and need not be taken away again.
static void leave(int empty_mounts) {
  must(setns(empty_mounts, 0), "setns");
  must(unshare(CLONE_NEWNS | CLONE_NEWCGROUP), "unshare");
  close(empty_mounts);
}

static void make_private(void) {
  must(syscall(SYS_mount, NULL, "/", NULL, kPrivate | kAllBelow, NULL), "make all mounts private");
}

int make_empty_mounts(void) {
  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    static const char* const options[] = {"mode", "555", "nr_inodes", "1", NULL};
    must(unshare(CLONE_NEWNS), "unshare");
    make_private();
    int root = make_mount("tmpfs", "tmpfs", kReadOnly, options);
    must(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");
    enter(root);
    must(write(ready[1], "", 1), "write");
    pause();
  }
  char byte, path[64];
  close(ready[1]);
  int empty = -1;
  if (pid > 0 && read(ready[0], &byte, 1) == 1) {
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    empty = open(path, O_RDONLY | O_CLOEXEC);
  }
  close(ready[0]);
  if (pid > 0) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
  }
  return empty;
}

void enter_rootfs(const struct Settings* settings) {
  static const char* const dev_options[] = {"mode", "755", "size", "65536k", NULL};
  static const char* const pts_options[] = {"newinstance", NULL, "ptmxmode", "0666", "mode", "0620", NULL};
  static const char* const shm_options[] = {"mode", "1777", "size", "64m", NULL};
  umask(0);
  bool leaves = settings->empty_mounts >= 0;
  if (!leaves) must(unshare(CLONE_NEWCGROUP), "unshare");
  if (!leaves) make_private();
  struct Taken taken = take(settings->rootfs);
  if (leaves) leave(settings->empty_mounts);
  if (leaves) make_private();
  int root = taken.root;
  set_attributes(root, MOUNT_ATTR_NODEV, kPrivate, kRecursive);
  must(syscall(SYS_move_mount, root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH), "move_mount");

  int proc = make_mount("proc", "proc", kPlain, NULL);
  attach(proc, root, "proc", true, true);
  int dev = make_mount("tmpfs", "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME, dev_options);
  attach(dev, root, "dev", true, false);
  attach(make_mount("devpts", "devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, pts_options), dev, "pts", true, false);
  int sys = make_mount("sysfs", "sysfs", kReadOnly, NULL);
  attach(sys, root, "sys", true, true);
  if (settings->cgroup) attach(make_mount("cgroup2", "cgroup", kReadOnly, NULL), sys, "fs/cgroup", true, false);
  attach(make_mount("mqueue", "mqueue", kPlain, NULL), dev, "mqueue", true, false);
  attach(make_mount("tmpfs", "shm", kPlain, shm_options), dev, "shm", true, false);

  attach_devices(dev, taken.devices);
  must(sethostname("bench", 5), "sethostname");
  cover_paths(proc, sys, taken.devices[0]);
  enter(root);
  raise_loopback();
}
