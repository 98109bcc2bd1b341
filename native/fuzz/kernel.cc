#include "kernel.h"

#include <asm/ioctls.h>
#include <linux/close_range.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fsmap.h>
#include <linux/mount.h>
#include <linux/nsfs.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sanitizer/asan_interface.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../ops/sys.h"
#include "../program/format.h"

namespace runts {

void broken(const char* rule) {
  fprintf(stderr, "broken rule: %s\n", rule);
  abort();
}

namespace kernel {

jmp_buf ended;
const uint8_t* file;
size_t file_size;
bool in_proc = false;

namespace {

constexpr int kErrnos[] = {EPERM,  ENOENT, EINTR,     EIO,          ENXIO,  EAGAIN,     ENOMEM, EACCES,
                           EBUSY,  EEXIST, EXDEV,     ENODEV,       ENOTDIR, EISDIR,    EINVAL, EMFILE,
                           ENOSPC, ELOOP,  ENAMETOOLONG, ENOTEMPTY, ENOSYS, EOPNOTSUPP, ESTALE, ECONNRESET,
                           EROFS,  ESPIPE, ECHILD,    EOVERFLOW,    EMSGSIZE, ENOTTY,   E2BIG,  ETIMEDOUT};
constexpr int kDescriptors = 2048, kCallsMax = 20000;

const uint8_t* tape;
size_t left;
int calls;
bool open_[kDescriptors], given[kDescriptors];
long opener[kDescriptors], present;  // numbers of system calls
bool exact;  // whether no descriptor was closed or moved by number, so that each has one owner
int64_t clock_ns;
bool passes_credentials;
uint32_t awaited_tag;
void* page;

[[noreturn]] void end() { longjmp(ended, 1); }

void readable(const void* from, size_t size) {
  if (__asan_region_is_poisoned(const_cast<void*>(from), size)) broken("a call is given memory that is not ours");
}

}  // namespace

void expect_text(const char* detail) { readable(detail, strlen(detail) + 1); }

namespace {

void text(const char* from) { expect_text(from); }

// Fills all of a buffer.
void fill(void* to, size_t size) {
  memset(to, 0, size);
  (void)take(to, size);
}

long outcome() {
  uint8_t b = byte();
  return b < 0xd0 ? 0 : -kErrnos[b % (sizeof kErrnos / sizeof *kErrnos)];
}

int lowest(int from) {
  for (int fd = from; fd < kDescriptors; fd++) {
    if (!open_[fd]) {
      open_[fd] = true;
      given[fd] = false;
      opener[fd] = present;
      return fd;
    }
  }
  end();
}
long descriptor() {
  long r = outcome();
  return r < 0 ? r : lowest(0);
}
bool is_open(long fd) { return fd >= 0 && fd < kDescriptors && open_[fd]; }

void expect_cloexec(bool set) {
  if (!set) broken("a descriptor is opened that an exec would not close");
}
// mkdirat, unlinkat and their like: one component, inside a directory that we hold (P1).
void expect_name(long dir, const char* name) {
  text(name);
  bool dots = !strcmp(name, ".") || !strcmp(name, "..");
  if (dir == AT_FDCWD || *name == 0 || dots || strchr(name, '/')) broken("an entry is made or removed by a path");
}

long close_one(long fd) {
  if (!is_open(fd)) {
    if (exact && fd >= 0) broken("a descriptor is closed twice");
    return -EBADF;
  }
  open_[fd] = false;
  return 0;
}

long openat(long dir, const char* path, long flags) {
  text(path);
  expect_cloexec(flags & O_CLOEXEC);
  // Names of our own, in directories of the kernel's own: it puts no links there.
  if (in_proc && dir != AT_FDCWD && flags == (O_RDONLY | O_CLOEXEC)) return descriptor();
  // A zygote's own image, by the link that is the kernel's.
  if (dir != AT_FDCWD && flags == (O_PATH | O_CLOEXEC) && !strcmp(path, "self/exe")) return descriptor();
  if (dir != AT_FDCWD) {
    bool here = !strcmp(path, ".") || !strcmp(path, "..");
    if (flags & O_CREAT || !here) expect_name(dir, path);
    if (!here && !(flags & O_NOFOLLOW)) broken("a link may be followed out of a directory");
  } else if (flags & O_CREAT) {
    broken("a file is made by a path");
  }
  return descriptor();
}

long openat2(long dir, const char* path, const open_how* how, size_t size) {
  text(path);
  readable(how, size);
  expect_cloexec(how->flags & O_CLOEXEC);
  bool in_root = how->resolve & RESOLVE_IN_ROOT && how->resolve & RESOLVE_NO_MAGICLINKS;
  bool beneath = how->resolve & RESOLVE_BENEATH && how->resolve & RESOLVE_NO_SYMLINKS;
  bool command = dir == AT_FDCWD && how->resolve & RESOLVE_NO_MAGICLINKS && how->flags & O_PATH;
  // Looked at before and after: what else stands there is not taken.
  bool null = dir == AT_FDCWD && how->resolve & RESOLVE_NO_SYMLINKS && !strcmp(path, "/dev/null");
  if (!in_root && !beneath && !command && !null) broken("a path is resolved out of its root");
  if (strlen(path) > kPathBytesMax) return -ENAMETOOLONG;
  return descriptor();
}

long getdents(uint8_t* to, size_t size) {
  size_t at = 0;
  while (at + 24 + 256 < size) {
    size_t length = byte() % 64;
    if (length == 0) break;
    if (length == 63) length = 255;
    uint8_t name[256];
    fill(name, length);
    for (size_t i = 0; i < length; i++) {
      if (name[i] == 0 || name[i] == '/') name[i] = 'n';
    }
    if (length > 40 && length < 63) length = length % 2 + 1, memset(name, '.', length);  // "." and ".."
    name[length] = 0;
    size_t record = (19 + length + 1 + 7) & ~size_t{7};
    uint64_t numbers[2] = {word() % 8, word()};
    uint8_t type = byte() % 16;
    auto bytes = static_cast<uint16_t>(record);
    memset(to + at, 0, record);
    memcpy(to + at, numbers, sizeof numbers);
    memcpy(to + at + 16, &bytes, sizeof bytes);
    memcpy(to + at + 18, &type, 1);
    memcpy(to + at + 19, name, length + 1);
    at += record;
  }
  return static_cast<long>(at);
}

long some(void* to, size_t size) {
  long r = outcome();
  if (r < 0) return r;
  size_t most = byte() < 0x80 ? byte() : word() % (64 << 10);
  return static_cast<long>(take(to, most < size ? most : size));
}

long read(void* to, size_t size) {
  if (!file) return some(to, size);
  size_t n = file_size < size ? file_size : size;
  if (n > 0) memcpy(to, file, n);
  file += n;
  file_size -= n;
  return static_cast<long>(n);
}

long getcwd(char* to, size_t size) {
  long r = outcome();
  if (r < 0) return r;
  size_t n = byte() < 0xf0 ? byte() % 16 : size - 1;
  fill(to, n);
  for (size_t i = 0; i < n; i++) to[i] = to[i] ? to[i] : 'd';
  if (byte() < 0xe0 && n > 0) to[0] = '/';
  to[n] = 0;
  return static_cast<long>(n + 1);
}

long statx(struct statx* st) {
  long r = outcome();
  if (r < 0) return r;
  memset(st, 0, sizeof *st);
  static const uint16_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFIFO, S_IFBLK, S_IFSOCK, S_IFDIR};
  uint8_t b = byte();
  st->stx_mode = static_cast<uint16_t>(types[b % 8] | word() % 010000);
  st->stx_ino = byte() % 4;
  st->stx_dev_minor = byte() % 2;
  st->stx_mnt_id = byte() % 4;
  st->stx_rdev_major = byte() % 8;
  st->stx_rdev_minor = byte() % 8;
  st->stx_size = byte() < 0xf0 ? byte() : static_cast<uint64_t>(word()) << 16;
  st->stx_uid = word();
  st->stx_gid = word();
  return 0;
}

long fstatfs(uint64_t* to) {
  static const uint64_t types[] = {0x9fa0 /* proc */, 0x62656572 /* sysfs */, 0x63677270 /* cgroup2 */, 0x1cd1 /* devpts */};
  long r = outcome();
  if (r < 0) return r;
  memset(to, 0, 120);  // struct statfs
  uint8_t b = byte();
  *to = b < 0xe0 ? types[b % 4] : word();
  return 0;
}

long listxattr(char* to, size_t size) {
  long n = some(to, size);
  if (n > 0) to[n - 1] = 0;
  return n;
}

// Messages of the host: any, or a GO that is waited for, with and without descriptors.
long recvmsg(struct msghdr* message, long flags) {
  expect_cloexec(flags & MSG_CMSG_CLOEXEC);
  uint8_t body[600];
  size_t size;
  long r = outcome();
  if (r < 0) return r;
  uint8_t b = byte();
  MessageHeader go = {kMessageGo, awaited_tag};
  size = b < 0xa0 ? sizeof go : b < 0xb0 ? 0 : take(body, b < 0xf0 ? b % 24 : sizeof body);
  if (b < 0xa0) memcpy(body, &go, sizeof go);
  size_t copied = 0;
  for (size_t i = 0; i < message->msg_iovlen && copied < size; i++) {
    size_t n = size - copied < message->msg_iov[i].iov_len ? size - copied : message->msg_iov[i].iov_len;
    memcpy(message->msg_iov[i].iov_base, body + copied, n);
    copied += n;
  }
  message->msg_flags = copied < size ? MSG_TRUNC : 0;
  b = byte();
  size_t count = b < 0x80 ? b % 2 : b < 0xf0 ? b % 4 : byte() % 254;
  auto* control = static_cast<uint8_t*>(message->msg_control);
  size_t before = passes_credentials && message->msg_controllen >= CMSG_SPACE(12) ? CMSG_SPACE(12) : 0;
  if (before > 0) {
    cmsghdr head = {CMSG_LEN(12), SOL_SOCKET, SCM_CREDENTIALS};
    uint32_t sender[3] = {1, byte() & 1u, byte() & 1u};
    memcpy(control, &head, sizeof head);
    memcpy(control + sizeof head, sender, sizeof sender);
  }
  size_t room = message->msg_controllen - before;
  room = room < sizeof(cmsghdr) ? 0 : (room - sizeof(cmsghdr)) / sizeof(int);
  if (count > room) count = room, message->msg_flags |= MSG_CTRUNC;
  message->msg_controllen = before;
  if (count == 0) return static_cast<long>(copied);
  cmsghdr head = {sizeof head + count * sizeof(int), SOL_SOCKET, SCM_RIGHTS};
  control += before;
  memcpy(control, &head, sizeof head);
  for (size_t i = 0; i < count; i++) {
    int fd = lowest(0);
    memcpy(control + sizeof head + i * sizeof fd, &fd, sizeof fd);
  }
  message->msg_controllen = before + CMSG_SPACE(count * sizeof(int));
  return static_cast<long>(copied);
}

long sendmsg(const struct msghdr* message) {
  readable(message, sizeof *message);
  for (size_t i = 0; i < message->msg_iovlen; i++) readable(message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
  if (message->msg_control) readable(message->msg_control, message->msg_controllen);
  auto* frame = static_cast<const Frame*>(message->msg_iov[0].iov_base);
  if (message->msg_iov[0].iov_len != sizeof *frame || frame->detail_length > sizeof frame->detail) broken("a frame is malformed");
  if (frame->kind == kFrameSync) awaited_tag = frame->tag;
  return outcome();
}

long poll(struct pollfd* watched, size_t count, const int64_t* rest) {
  readable(watched, count * sizeof *watched);
  if (rest) readable(rest, 16);
  clock_ns += static_cast<int64_t>(word()) * 1000;
  long r = outcome();
  for (size_t i = 0; i < count && r >= 0; i++) {
    uint8_t b = byte();
    watched[i].revents = watched[i].fd >= 0 && b & 1 ? (b & 2 ? POLLHUP : POLLIN) : 0;
    r += watched[i].revents != 0;
  }
  return r;
}

long ioctl(long command, void* argument) {
  long r = outcome();
  if (r < 0) return r;
  switch (command) {
    case TIOCGPTPEER: expect_cloexec(reinterpret_cast<long>(argument) & O_CLOEXEC); return lowest(0);
    case 0x894c /* SIOCGSKNS */: return lowest(0);
    case NS_GET_NSTYPE: return 1l << (17 + byte() % 14);
    case SIOCGIFFLAGS:
    case SIOCGIFINDEX: readable(argument, 40); fill(static_cast<char*>(argument) + 16, 4); return 0;
    case SIOCSIFFLAGS: readable(argument, 40); return 0;
    case TCGETS: fill(argument, 36); return 0;
    case TCSETS: readable(argument, 36); return 0;
    case TIOCSWINSZ: readable(argument, 8); return 0;
    case TIOCSPTLCK: readable(argument, 4); return 0;
  }
  return 0;
}

long pipe(int* ends, long flags) {
  expect_cloexec(flags & O_CLOEXEC);
  long r = outcome();
  if (r < 0) return r;
  ends[0] = lowest(0);
  ends[1] = lowest(0);
  return 0;
}

long clone(uint64_t flags, int* pidfd) {
  long r = outcome();
  if (r < 0) return r;
  if (byte() & 1) return 0;  // the child, whose memory has no word of its own descriptor
  if (flags & CLONE_PIDFD) *pidfd = lowest(0);
  return 2 + byte();
}

long execve(const char* path, const char* const* argv, const char* const* env) {
  text(path);
  for (; *argv; argv++) text(*argv);
  for (; *env; env++) text(*env);
  long r = outcome();
  if (r == 0) end();
  return r;
}

long dup3(long from, long to) {
  if (!is_open(from)) return -EBADF;
  if (from == to) return -EINVAL;
  if (to < 0 || to >= kDescriptors) return -EBADF;
  if (to > 2) exact = false;
  open_[to] = true;
  return to;
}

long close_range(uint64_t first, uint64_t last) {
  exact = false;
  for (uint64_t fd = first; fd <= last && fd < kDescriptors; fd++) open_[fd] = false;
  return 0;
}

long fcntl(long fd, long command, long from) {
  if (command == F_DUPFD) broken("a descriptor is opened that an exec would not close");
  if (command != F_DUPFD_CLOEXEC) return outcome();
  long r = is_open(fd) ? outcome() : -EBADF;
  return r < 0 ? r : lowest(static_cast<int>(from));
}

long map(size_t size) {
  long r = outcome();
  if (r < 0) return r;
  page = calloc(1, size);
  return reinterpret_cast<long>(page);
}

long sendfile(int64_t* at, uint64_t count) {
  long r = outcome();
  if (r < 0) return r;
  uint64_t n = byte() < 0xc0 ? count : byte();
  if (n > count) n = count;
  *at += static_cast<int64_t>(n);
  return static_cast<long>(n > 0x7ffff000 ? 0x7ffff000 : n);
}

long message_to(const void* from, size_t size) {
  readable(from, size);
  return outcome();
}

}  // namespace

void begin(const uint8_t* answers, size_t size) {
  tape = answers;
  left = size;
  calls = 0;
  for (int fd = 0; fd < kDescriptors; fd++) open_[fd] = given[fd] = fd <= 3;
  exact = true;
  clock_ns = 1;
  awaited_tag = 0;
  passes_credentials = false;
  free(page);
  page = nullptr;
  file = nullptr;
  file_size = 0;
  in_proc = false;
}

size_t take(void* to, size_t size) {
  size_t n = size < left ? size : left;
  if (n > 0) memcpy(to, tape, n);
  tape += n;
  left -= n;
  return n;
}

uint8_t byte() {
  uint8_t value = 0;
  (void)take(&value, sizeof value);
  return value;
}

uint32_t word() {
  uint32_t value = 0;
  (void)take(&value, sizeof value);
  return value;
}

int give() {
  int fd = lowest(0);
  given[fd] = true;
  return fd;
}

void expect_open_only(const int* kept, size_t count) {
  if (!exact) return;
  for (int fd = 0; fd < kDescriptors; fd++) {
    bool known = !open_[fd] || given[fd];
    for (size_t i = 0; i < count && !known; i++) known = kept[i] == fd;
    if (known) continue;
    fprintf(stderr, "descriptor %d is of system call %ld\n", fd, opener[fd]);
    broken("a descriptor was lost");
  }
}

}  // namespace kernel

using namespace kernel;

template <class T>
static T* at(long address) {
  return reinterpret_cast<T*>(address);
}

long raw(long n, long a, long b, long c, long d, long e, long f) {
  if (left == 0 || calls++ == kCallsMax) end();
  present = n;
  auto bytes = [](long size) { return static_cast<size_t>(size); };
  switch (n) {
    case __NR_close: return close_one(a);
    case __NR_openat: return openat(a, at<char>(b), c);
    case __NR_openat2: return openat2(a, at<char>(b), at<open_how>(c), bytes(d));
    case __NR_open_tree: text(at<char>(b)); expect_cloexec(c & O_CLOEXEC); return descriptor();
    case __NR_fsopen: text(at<char>(a)); expect_cloexec(b & FSOPEN_CLOEXEC); return descriptor();
    case __NR_fspick: text(at<char>(b)); expect_cloexec(c & FSPICK_CLOEXEC); return descriptor();
    case __NR_fsmount: expect_cloexec(b & FSMOUNT_CLOEXEC); return descriptor();
    case __NR_fsconfig:
      if (c) text(at<char>(c));
      if (d) text(at<char>(d));
      return outcome();
    case __NR_move_mount: text(at<char>(b)); text(at<char>(d)); return outcome();
    case __NR_mount_setattr: text(at<char>(b)); readable(at<void>(d), bytes(e)); return outcome();
    case __NR_mount:
      if (a) broken("a mount is made by a path");
      return outcome();
    case __NR_mkdirat:
    case __NR_mknodat:
    case __NR_unlinkat: expect_name(a, at<char>(b)); return outcome();
    case __NR_linkat: expect_name(a, at<char>(b)); expect_name(c, at<char>(d)); return outcome();
    case __NR_lsetxattr: text(at<char>(a)); text(at<char>(b)); readable(at<void>(c), bytes(d)); return outcome();
    case __NR_pwrite64: readable(at<void>(b), bytes(c)); return byte() < 0xe0 ? c : outcome();
    case __NR_symlinkat: text(at<char>(a)); expect_name(b, at<char>(c)); return outcome();
    case __NR_renameat2: expect_name(a, at<char>(b)); expect_name(c, at<char>(d)); return outcome();
    case __NR_fchownat:
    case __NR_fchmodat: if (*at<char>(b)) expect_name(a, at<char>(b)); return outcome();
    case __NR_utimensat: if (b && *at<char>(b)) expect_name(a, at<char>(b)); readable(at<void>(c), 32); return outcome();
    case __NR_readlinkat: text(at<char>(b)); return some(at<void>(c), bytes(d));
    case __NR_getdents64: return getdents(at<uint8_t>(b), bytes(c));
    case __NR_read: return read(at<void>(b), bytes(c));
    case __NR_writev:
      for (long i = 0; i < c; i++) readable(at<struct iovec>(b)[i].iov_base, at<struct iovec>(b)[i].iov_len);
      return outcome();
    case __NR_write: readable(at<void>(b), bytes(c)); return byte() < 0xe0 ? c : outcome();
    case __NR_recvfrom: return some(at<void>(b), bytes(c));
    case __NR_sendto: return message_to(at<void>(b), bytes(c)) < 0 ? -EPIPE : c;
    case __NR_recvmsg: return recvmsg(at<struct msghdr>(b), c);
    case __NR_sendmsg: return sendmsg(at<struct msghdr>(b));
    case __NR_statx: text(at<char>(b)); return statx(at<struct statx>(e));
    case __NR_fstatfs: return fstatfs(at<uint64_t>(b));
    case __NR_getcwd: return getcwd(at<char>(a), bytes(b));
    case __NR_llistxattr: text(at<char>(a)); return listxattr(at<char>(b), bytes(c));
    case __NR_lgetxattr: text(at<char>(a)); text(at<char>(b)); return some(at<void>(c), bytes(d));
    case __NR_flistxattr: return listxattr(at<char>(b), bytes(c));
    case __NR_fgetxattr: text(at<char>(b)); return some(at<void>(c), bytes(d));
    case __NR_fsetxattr: text(at<char>(b)); readable(at<void>(c), bytes(d)); return outcome();
    case __NR_sendfile: return sendfile(at<int64_t>(c), bytes(d));
    case __NR_lseek: return outcome() < 0 ? -ENXIO : word();
    case __NR_ppoll: return poll(at<struct pollfd>(a), bytes(b), at<int64_t>(c));
    case __NR_ioctl: return ioctl(b, at<void>(c));
    case __NR_pipe2: return pipe(at<int>(a), b);
    case __NR_socket: expect_cloexec(b & O_CLOEXEC); return descriptor();
    case __NR_accept4: expect_cloexec(d & O_CLOEXEC); return descriptor();
    case __NR_signalfd4: readable(at<void>(b), bytes(c)); expect_cloexec(d & O_CLOEXEC); return descriptor();
    case __NR_dup3: return dup3(a, b);
    case __NR_fcntl: return fcntl(a, b, c);
    case __NR_close_range: return close_range(static_cast<unsigned>(a), static_cast<unsigned>(b));
    case __NR_pidfd_open: return descriptor();
    case __NR_getuid:
    case __NR_getgid: return byte() & 1;
    case __NR_setsockopt: {
      readable(at<void>(d), bytes(e));
      long r = outcome();
      if (r >= 0 && b == SOL_SOCKET && c == SO_PASSCRED) passes_credentials = true;
      return r;
    }
    case __NR_clone: return clone(static_cast<uint64_t>(a), at<int>(c));
    case __NR_execve: return execve(at<char>(a), at<const char*>(b), at<const char*>(c));
    case __NR_exit_group: end();
    case __NR_wait4:
      if (b) fill(at<void>(b), 4);
      return byte() < 0x80 ? byte() : outcome();
    case __NR_mmap: return map(bytes(b));
    case __NR_capget: fill(at<void>(b), 24); return outcome();
    case __NR_capset: readable(at<void>(b), 24); return outcome();
    case __NR_prlimit64: readable(at<void>(c), 16); return outcome();
    case __NR_setgroups: if (a) readable(at<void>(b), 4 * bytes(a)); return outcome();
    case __NR_sched_setattr: readable(at<void>(b), 56); return outcome();
    case __NR_sched_setaffinity: readable(at<void>(c), bytes(b)); return outcome();
    case __NR_set_mempolicy: if (b) readable(at<void>(b), (bytes(c) - 1) / 8); return outcome();
    case __NR_sethostname:
    case __NR_setdomainname: readable(at<void>(a), bytes(b)); return outcome();
    case __NR_seccomp: {
      readable(at<void>(c), 16);
      uint16_t length = *at<uint16_t>(c);
      readable(at<void*>(c)[1], length * size_t{8});
      return b & 8 ? descriptor() : outcome();
    }
    case __NR_clock_gettime:
      clock_ns += 1000000;
      at<int64_t>(b)[0] = clock_ns / 1000000000;
      at<int64_t>(b)[1] = clock_ns % 1000000000;
      return 0;
  }
  return outcome();
}

}  // namespace runts
