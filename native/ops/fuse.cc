// The protocol: a request is a header, a body and maybe a name; an answer is a header and what was asked for. A file's
// text is made when it is read from its beginning, and kept for the rest of it, so that what is read in pieces fits
// together, and a file that stays open and is read again (as top does) is new each time. Nothing is kept per open file
// but in a few places, and who has lost its place gets a new text: there is nothing that a container could use up.
#include "fuse.h"

#include <linux/fcntl.h>
#include <linux/fuse.h>
#include <linux/mman.h>
#include <linux/poll.h>
#include <linux/time.h>
#include <linux/uio.h>
#include <string.h>

#include "mounts.h"
#include "path.h"

namespace runts {

namespace {

enum : uint64_t {
  kFirstNode = FUSE_ROOT_ID + 1,
  kForHours = 10000,  // seconds that names and a directory's attributes hold: they never change
  kMoreBytes = 64,    // numbers that grow before they are read
};
enum : uint32_t {
  kRequestBytes = FUSE_MIN_READ_BUFFER,  // the kernel asks for this much room, and no request of ours is longer
  kReadBytesMax = 1u << 17,
  kMinor = 31,  // Linux 5.4: what we know of the protocol
  kKept = 4,
};

// In the order of ViewFile.
constexpr char kNames[][10] = {"cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats", "online"};
static_assert(sizeof kNames / sizeof *kNames == kViewFiles, "one for each");

}  // namespace

struct ViewServer {
  int device;
  ViewSources sources;
  uint64_t opened;  // how many files were: a number for each
  uint32_t next;    // place to be taken
  struct {
    uint64_t handle;
    size_t size;
  } kept[kKept];
  uint8_t request[kRequestBytes];
  char scratch[kViewScratch];
  char text[kKept][kViewBytesMax];
  char measured[kViewBytesMax];
};

namespace {

struct Request {
  const struct fuse_in_header& header;
  const uint8_t* body;
  size_t size;

  // The body as what it should be; null where it is shorter.
  template <class T>
  const T* as() const {
    return size < sizeof(T) ? nullptr : reinterpret_cast<const T*>(body);
  }
};

// Also says that it could not be done, by a negative errno, or -ENOSYS: the kernel does not ask for this again. A process
// that has meanwhile stopped waiting (ENOENT), or a mount that is gone, need no answer.
void reply(const ViewServer& server, const Request& to, int error, const void* body = nullptr, size_t size = 0) {
  struct fuse_out_header header = {};
  header.len = static_cast<uint32_t>(sizeof header + size);
  header.error = error;
  header.unique = to.header.unique;
  struct iovec parts[2] = {{&header, sizeof header}, {const_cast<void*>(body), size}};
  (void)sys(__NR_writev, server.device, parts, size ? 2 : 1);
}

template <class T>
void reply_with(const ViewServer& server, const Request& to, const T& body) {
  reply(server, to, 0, &body, sizeof body);
}

bool is_file(uint64_t node) { return node >= kFirstNode && node < kFirstNode + kViewFiles; }

void set_attributes(struct fuse_attr* attr, uint64_t node) {
  attr->ino = node;
  attr->mode = is_file(node) ? kRegular | 0444 : kDirectory | 0555;
  attr->nlink = 1;
  attr->blksize = 4096;
}

void greet(const ViewServer& server, const Request& request) {
  struct fuse_init_out out = {};
  out.major = FUSE_KERNEL_VERSION;
  out.minor = kMinor;
  out.max_background = 16;
  out.congestion_threshold = 12;
  out.max_write = 4096;
  out.time_gran = 1;
  reply_with(server, request, out);
}

void look_up(const ViewServer& server, const Request& request) {
  auto* name = reinterpret_cast<const char*>(request.body);
  for (uint32_t i = 0; i < kViewFiles && request.header.nodeid == FUSE_ROOT_ID; i++) {
    size_t length = strlen(kNames[i]) + 1, same = 0;
    while (same < length && same < request.size && name[same] == kNames[i][same]) same++;
    if (same < length) continue;
    struct fuse_entry_out out = {};
    out.nodeid = kFirstNode + i;
    out.entry_valid = kForHours;
    set_attributes(&out.attr, out.nodeid);
    return reply_with(server, request, out);
  }
  reply(server, request, -ENOENT);
}

// read(2) does not ask for a size, but sendfile(2) gives nothing of a file that has none, and nothing beyond it: `cat` and
// `cp` of busybox. The kernel asks before each open, since the attributes of a file do not last, and with FUSE a text that
// is shorter than that ends where it ends.
void get_attributes(ViewServer& server, const Request& request) {
  uint64_t node = request.header.nodeid;
  if (node != FUSE_ROOT_ID && !is_file(node)) return reply(server, request, -ESTALE);
  struct fuse_attr_out out = {};
  set_attributes(&out.attr, node);
  if (is_file(node)) {
    auto file = static_cast<ViewFile>(node - kFirstNode);
    out.attr.size = write_view(server.sources, file, server.measured, server.scratch) + kMoreBytes;
  } else {
    out.attr_valid = kForHours;
  }
  reply_with(server, request, out);
}

void open_file(ViewServer& server, const Request& request) {
  auto* in = request.as<struct fuse_open_in>();
  if (!in || !is_file(request.header.nodeid)) return reply(server, request, -ESTALE);
  if ((in->flags & O_ACCMODE) != O_RDONLY) return reply(server, request, -EACCES);
  struct fuse_open_out out = {};
  out.fh = ++server.opened;
  out.open_flags = FOPEN_DIRECT_IO;  // nothing of it is to be cached
  reply_with(server, request, out);
}

// Where the text of an open file is, made anew when there is none, or it is read from its beginning.
uint32_t text_of(ViewServer& server, uint64_t handle, ViewFile file, bool anew) {
  uint32_t place = 0;
  while (place < kKept && server.kept[place].handle != handle) place++;
  if (place < kKept && !anew) return place;
  if (place == kKept) place = server.next++ % kKept;
  server.kept[place] = {handle, write_view(server.sources, file, server.text[place], server.scratch)};
  return place;
}

void read_file(ViewServer& server, const Request& request) {
  auto* in = request.as<struct fuse_read_in>();
  uint64_t node = request.header.nodeid;
  if (!in || !is_file(node)) return reply(server, request, -ESTALE);
  auto file = static_cast<ViewFile>(node - kFirstNode);
  uint32_t place = text_of(server, in->fh, file, in->offset == 0);
  size_t whole = server.kept[place].size, from = in->offset < whole ? static_cast<size_t>(in->offset) : whole;
  size_t size = whole - from;
  if (size > in->size) size = in->size;
  if (size > kReadBytesMax) size = kReadBytesMax;
  reply(server, request, 0, server.text[place] + from, size);
}

void release_file(ViewServer& server, const Request& request) {
  auto* in = request.as<struct fuse_release_in>();
  for (auto& kept : server.kept) {
    if (in && kept.handle == in->fh) kept = {};
  }
  reply(server, request, 0);
}

void say_statfs(const ViewServer& server, const Request& request) {
  struct fuse_statfs_out out = {};
  out.st.bsize = out.st.frsize = 4096;
  out.st.namelen = 255;
  reply_with(server, request, out);
}

}  // namespace

void answer_request(ViewServer& server, const uint8_t* bytes, size_t size) {
  struct fuse_in_header header;
  if (size < sizeof header) return;
  memcpy(&header, bytes, sizeof header);
  if (header.len != size) return;
  Request request = {header, bytes + sizeof header, size - sizeof header};
  switch (header.opcode) {
    case FUSE_INIT: return greet(server, request);
    case FUSE_LOOKUP: return look_up(server, request);
    case FUSE_GETATTR: return get_attributes(server, request);
    case FUSE_OPEN: return open_file(server, request);
    case FUSE_READ: return read_file(server, request);
    case FUSE_RELEASE: return release_file(server, request);
    case FUSE_STATFS: return say_statfs(server, request);
    case FUSE_ACCESS: return reply(server, request, 0);
    // To these nobody wants an answer. Whoever interrupts a request is answered by the request's own answer.
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT: return;
  }
  reply(server, request, -ENOSYS);
}

char* view_scratch(ViewServer& server) { return server.scratch; }

ViewServer* new_view_server(Where& at, int device, const ViewSources& sources) {
  long r = sys(__NR_mmap, nullptr, sizeof(ViewServer), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (r < 0) {
    check(at, kStepOp, r);
    return nullptr;
  }
  auto* server = reinterpret_cast<ViewServer*>(r);
  server->device = device;
  server->sources = sources;
  return server;
}

namespace {

// After the first, which is fd=N.
constexpr char kOptions[][20] = {"source=runts", "subtype=runts", "rootmode=40000",      "user_id=0",
                                 "group_id=0",   "allow_other",   "default_permissions", "max_read=131072"};

const char* option_at(const void* device, uint32_t i) {
  return i ? kOptions[i - 1] : static_cast<const char*>(device);
}

uint64_t now_ms() {
  struct {
    int64_t s, ns;
  } time = {};
  (void)sys(__NR_clock_gettime, CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.s) * 1000 + static_cast<uint64_t>(time.ns) / 1000000;
}

// What a request touched of the large buffers is given back.
void shrink(ViewServer& server) {
  constexpr size_t kSome = 16384;
  (void)sys(__NR_madvise, reinterpret_cast<uintptr_t>(server.scratch + kSome) & ~uintptr_t{4095},
            sizeof server.scratch - kSome, MADV_DONTNEED);
}

}  // namespace

int fuse_mount(Where& at, int* device, char* message, size_t size) {
  Fd opened(check(at, kStepOpen, "/dev/fuse", sys(__NR_openat, AT_FDCWD, "/dev/fuse", O_RDWR | O_CLOEXEC | O_NONBLOCK)));
  if (!opened.ok()) return opened.get();
  char option[16] = "fd=";
  size_t end = 3;
  for (int unit = 100000; unit; unit /= 10) {
    if (opened.get() >= unit || unit == 1) option[end++] = static_cast<char>('0' + opened.get() / unit % 10);
  }
  constexpr uint64_t kAttributes = 0x2 | 0x4 | 0x8;  // nosuid, nodev, noexec
  int mount = fsmount(at, "fuse", Options{1 + sizeof kOptions / sizeof *kOptions, option_at, option}, kAttributes, message, size);
  if (at.detail == option) at.detail = "fd";
  if (mount < 0) return mount;
  *device = opened.release();
  return mount;
}

int serve_view(Where& at, int device, int owner, const ViewSources& sources) {
  ViewServer* server = new_view_server(at, device, sources);
  if (!server) return -ENOMEM;
  begin_view(sources, server->scratch);
  uint64_t sampled = now_ms();
  for (;;) {
    struct pollfd waiting[2] = {{device, POLLIN, 0}, {owner, POLLIN, 0}};
    uint64_t passed = now_ms() - sampled, left = passed < kViewSampleMs ? kViewSampleMs - passed : 0;
    int64_t timeout[2] = {static_cast<int64_t>(left / 1000), static_cast<int64_t>(left % 1000 * 1000000)};
    long r = sys(__NR_ppoll, waiting, 2, timeout, nullptr, 0);
    if (r < 0 && r != -EINTR) return check(at, kStepPoll, r);
    if (waiting[1].revents) return 0;
    if (waiting[0].revents) {
      r = sys(__NR_read, device, server->request, sizeof server->request);
      // ENODEV: the last mount of it is gone. ENOENT: who asked has gone before we could hear it.
      if (r == -ENODEV) return 0;
      if (r < 0 && r != -EINTR && r != -EAGAIN && r != -ENOENT) return check(at, kStepRead, r);
      if (r > 0) {
        answer_request(*server, server->request, static_cast<size_t>(r));
        shrink(*server);
      }
    }
    uint64_t times = (now_ms() - sampled) / kViewSampleMs;
    if (!times) continue;
    sampled += times * kViewSampleMs;
    sample_view(sources, times < 1000 ? times : 1000, server->scratch);
  }
}

}  // namespace runts
