#include "unpack.h"

#include <linux/fcntl.h>
#include <linux/stat.h>
#include <string.h>

#include "../program/format.h"
#include "files.h"
#include "path.h"
#include "source.h"
#include "sparse.h"

namespace runts {

namespace {

constexpr size_t kAttributesMax = 256u << 10;
constexpr uint32_t kKeep = ~0u;  // an owner that is not to be given
constexpr char kOpaque[] = "user.overlay.opaque";

char failed_name[kPathBytesMax + 1];

bool same(const char* a, const char* b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

struct Times {
  int64_t access_s, access_ns, change_s, change_ns;
  explicit Times(const Record& r)
      : access_s(r.seconds), access_ns(r.nanoseconds), change_s(r.seconds), change_ns(r.nanoseconds) {}
};

class Unpacker {
 public:
  Unpacker(Where& at, int source, int root) : at_(at), source_(at, source), root_(root) {}

  int run() {
    for (;;) {
      const uint8_t* bytes;
      int r = source_.take(sizeof(Record), &bytes);
      if (r < 0) return r;
      memcpy(&record_, bytes, sizeof record_);
      if (record_.kind == kRecordEnd) return 0;
      r = read_names();
      if (r >= 0) r = make();
      if (r < 0) return failed(r);
      at_.detail = "";  // what it says now lives in a frame that has ended
    }
  }

 private:
  // The name and the target are copied: a buffer that is read on does not keep them.
  int read_names() {
    if (record_.attributes > kAttributesMax) return check(at_, kStepRead, -EMSGSIZE);
    int r = read_name(record_.name, name_);
    if (r >= 0) r = read_name(record_.target, target_);
    if (r >= 0) r = source_.take(record_.attributes, &attributes_);
    return r;
  }

  int read_name(uint32_t size, char (&to)[kPathBytesMax + 1]) {
    to[0] = 0;
    if (size > sizeof to) return check(at_, kStepRead, -ENAMETOOLONG);
    const uint8_t* bytes;
    int r = source_.take(size, &bytes);
    if (r < 0 || size == 0) return r;
    memcpy(to, bytes, size);
    return to[size - 1] == 0 ? 0 : check(at_, kStepRead, -EBADMSG);
  }

  int make() {
    if (record_.kind == kRecordOpaque) return mark_opaque();
    if (record_.kind == kRecordEmpty) return empty();
    if (record_.kind == kRecordSettle && name_[0] == 0) {
      Fd top(open_below(at_, root_, "", O_RDONLY | O_DIRECTORY));
      return top.ok() ? finish(top.get()) : top.get();
    }
    bool makes = record_.kind != kRecordSettle && record_.kind != kRecordRemove;
    const char* last;
    int parent = find(name_, parent_name_, &parent_, &last, makes);
    // What was there has been replaced since, or never was.
    if (parent < 0) return !makes && (parent == -ENOENT || parent == -ENOTDIR) ? 0 : parent;
    switch (record_.kind) {
      case kRecordFile: return make_file(parent, last);
      case kRecordDirectory: return make_directory_at(parent, last);
      case kRecordSymlink: return make_symlink_at(parent, last);
      case kRecordLink: return make_link(parent, last);
      case kRecordNode: return make_node_at(parent, last);
      case kRecordWhiteout: return make_whiteout(parent, last);
      case kRecordRemove: return clear(parent, last);
      case kRecordSettle: return settle(parent, last);
    }
    return check(at_, kStepRead, -EBADMSG);
  }

  // The directory above a name, which stays open for the next one: layers list a directory's entries one after the other.
  int find(const char* name, char (&known)[kPathBytesMax + 1], Fd* directory, const char** last, bool makes) {
    size_t slash = strlen(name);
    while (slash > 0 && name[slash - 1] != '/') slash--;
    *last = name + slash;
    if (**last == 0 || is_dot(*last)) return check(at_, kStepOpenat2, -EINVAL);
    size_t length = slash > 0 ? slash - 1 : 0;
    char above[kPathBytesMax + 1];
    memcpy(above, name, length);
    above[length] = 0;
    if (directory->ok() && same(above, known)) return directory->get();
    directory->reset();
    made_.known = false;
    int found = open_below(at_, root_, above, O_PATH | O_DIRECTORY);
    if (found == -ENOENT && makes) found = make_directory(at_, root_, above, 0755);
    if (found < 0) return found;
    directory->reset(found);
    memcpy(known, above, length + 1);
    return found;
  }

  // Names may have been resolved by way of what is gone.
  void forget() { parent_.reset(), linked_.reset(), made_.known = false; }

  int clear(int parent, const char* last) {
    Fd held(static_cast<int>(sys(__NR_fcntl, parent, F_DUPFD_CLOEXEC, 3)));
    if (!held.ok()) return check(at_, kStepFcntl, held.get());
    forget();
    return record_.flags & kFlagKeep ? remove_file(at_, held.get(), last) : remove_tree(at_, held.get(), last);
  }

  // Makes something by a call that says EEXIST where something is; makes room for it then.
  template <class Make>
  int make_in_place(int* parent, const char** last, Step step, Make make) {
    long r = make(*parent, *last);
    if (r != -EEXIST) return check(at_, step, r);
    int cleared = clear(*parent, *last);
    if (cleared < 0) return cleared;
    *parent = find(name_, parent_name_, &parent_, last, true);
    return *parent < 0 ? *parent : check(at_, step, make(*parent, *last));
  }

  int make_file(int parent, const char* last) {
    constexpr int kMake = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    // In a tree that is in use nobody is to have it before it has its owner.
    uint32_t mode = record_.flags & kFlagKeep ? 0600 : record_.mode & 0777;
    Fd file(make_in_place(&parent, &last, kStepOpen,
                          [mode](int dir, const char* name) { return sys(__NR_openat, dir, name, kMake, mode); }));
    if (!file.ok()) return file.get();
    int r = keep_attributes();
    if (r >= 0) r = SparseFile(at_, file.get()).write(source_, record_.size);
    if (r < 0) return r;
    attributes_ = kept_;
    return finish_file(file.get(), mode);
  }

  // What a file gets by being made where this one was, and with its mode: the set-group-id bit of the directory, its
  // default ACL and the mount have a say in it. Most files of a directory are alike, and want nothing else.
  int finish_file(int fd, uint32_t mode) {
    if (record_.flags & kFlagKeep) return finish(fd);
    if (!made_.known) {
      struct statx st;
      constexpr uint32_t kWanted = STATX_MODE | STATX_UID | STATX_GID;
      int r = check(at_, kStepFstat, sys(__NR_statx, fd, "", AT_EMPTY_PATH, kWanted, &st));
      if (r < 0) return r;
      made_ = {true, (st.stx_mode & 07777) == mode ? mode : ~0u, st.stx_uid, st.stx_gid};
    }
    bool owned = record_.uid == made_.uid && record_.gid == made_.gid;
    return finish(fd, owned, record_.mode == mode && mode == made_.mode);
  }

  // The attributes come before the content, and are given after it: the buffer is not theirs any more then.
  int keep_attributes() {
    if (record_.attributes == 0) return 0;
    memcpy(kept_, attributes_, record_.attributes);
    return 0;
  }

  // Owner, mode, attributes, time, in the order in which the kernel takes nothing back: a change of owner clears
  // set-user-id bits and capabilities of files.
  int finish(int fd, bool has_owner = false, bool has_mode = false) {
    int r = 0;
    if (!has_owner && (record_.uid != kKeep || record_.gid != kKeep)) {
      r = check(at_, kStepFchownat, sys(__NR_fchown, fd, record_.uid, record_.gid));
    }
    if (r >= 0 && !has_mode) r = check(at_, kStepFchmodat, sys(__NR_fchmod, fd, record_.mode & 07777));
    if (r < 0) return r;
    r = each_attribute([fd](const char* name, const void* value, uint32_t size) {
      return sys(__NR_fsetxattr, fd, name, value, size, 0);
    });
    if (r < 0) return r;
    Times times(record_);
    return check(at_, kStepUtimensat, sys(__NR_utimensat, fd, nullptr, &times, 0));
  }

  // Of a link or a node, which is not opened when it is made.
  int finish_entry(int parent, const char* last, int type) {
    return record_.flags & kFlagKeep ? finish_shared(parent, last, type) : finish_named(parent, last, type != kLink);
  }

  // In a tree that is in use, somebody may have put a link or another's file under the name since: it is held, looked at,
  // and no path leads to it any more. It was made with its mode (our umask is 0); attributes mean nothing to what has no content.
  int finish_shared(int parent, const char* last, int type) {
    Fd held(check(at_, kStepOpen, sys(__NR_openat, parent, last, O_PATH | O_NOFOLLOW | O_CLOEXEC)));
    if (!held.ok()) return held.get();
    int found = type_of(at_, held.get());
    if (found != type) return found < 0 ? found : check(at_, kStepOpen, -ESTALE);
    if (record_.uid != kKeep || record_.gid != kKeep) {
      int r = check(at_, kStepFchownat, sys(__NR_fchownat, held.get(), "", record_.uid, record_.gid, AT_EMPTY_PATH));
      if (r < 0) return r;
    }
    Times times(record_);
    return check(at_, kStepUtimensat, sys(__NR_utimensat, held.get(), "", &times, AT_EMPTY_PATH));
  }

  // The name is ours alone: what is unpacked is nobody else's yet.
  int finish_named(int parent, const char* last, bool has_mode) {
    if (record_.uid != kKeep || record_.gid != kKeep) {
      int r = check(at_, kStepFchownat,
                    sys(__NR_fchownat, parent, last, record_.uid, record_.gid, AT_SYMLINK_NOFOLLOW));
      if (r < 0) return r;
    }
    if (has_mode) {
      int r = check(at_, kStepFchmodat, sys(__NR_fchmodat, parent, last, record_.mode & 07777));
      if (r < 0) return r;
    }
    if (record_.attributes > 0) {
      int r = check(at_, kStepFchdir, sys(__NR_fchdir, parent));
      if (r < 0) return r;
      r = each_attribute([last](const char* name, const void* value, uint32_t size) {
        return sys(__NR_lsetxattr, last, name, value, size, 0);
      });
      if (r < 0) return r;
    }
    Times times(record_);
    return check(at_, kStepUtimensat, sys(__NR_utimensat, parent, last, &times, AT_SYMLINK_NOFOLLOW));
  }

  // Rows of: u32 length of the name with its NUL, u32 length of the value, name, value.
  template <class Set>
  int each_attribute(Set set) {
    for (uint32_t i = 0; i + 8 <= record_.attributes;) {
      uint32_t lengths[2];
      memcpy(lengths, attributes_ + i, sizeof lengths);
      uint64_t rest = record_.attributes - i - 8;
      if (lengths[0] == 0 || lengths[0] > rest || lengths[1] > rest - lengths[0]) return check(at_, kStepRead, -EBADMSG);
      auto* name = reinterpret_cast<const char*>(attributes_ + i + 8);
      if (name[lengths[0] - 1] != 0) return check(at_, kStepRead, -EBADMSG);
      long r = set(name, name + lengths[0], lengths[1]);
      // A file system that has none of this kind, or a kind that this kernel does not know, is not the layer's fault.
      if (r < 0 && r != -EOPNOTSUPP && r != -EPERM) return check(at_, kStepSetxattr, r);
      i += 8 + lengths[0] + lengths[1];
    }
    return 0;
  }

  int make_directory_at(int parent, const char* last) {
    long r = sys(__NR_mkdirat, parent, last, 0700);
    if (r == -EEXIST) {
      struct statx st;
      int found = look(parent, last, &st);
      if (found < 0) return found;
      bool is_there = (st.stx_mode & kTypeBits) == kDirectory;
      if (is_there || (record_.flags & kFlagKeep)) return is_there ? 0 : check(at_, kStepMkdirat, -ENOTDIR);
      bool hidden = is_whiteout(st);
      found = clear(parent, last);
      if (found >= 0) parent = found = find(name_, parent_name_, &parent_, &last, true);
      if (found < 0) return found;
      r = sys(__NR_mkdirat, parent, last, 0700);
      // What was hidden below the name does not come back with the directory.
      if (r >= 0 && hidden) return set_opaque(parent, last);
    }
    return check(at_, kStepMkdirat, r);
  }

  int make_symlink_at(int parent, const char* last) {
    const char* target = target_;
    int r = make_in_place(&parent, &last, kStepSymlinkat, [target](int dir, const char* name) {
      return sys(__NR_symlinkat, target, dir, name);
    });
    return r < 0 ? r : finish_entry(parent, last, kLink);
  }

  // The file keeps its owner, mode and times: the record of a link says the same, or lies.
  int make_link(int parent, const char* last) {
    const char* file;
    int above = find(target_, linked_name_, &linked_, &file, false);
    if (above < 0) return check(at_, kStepLinkat, above);
    struct statx from, to;
    int r = look(above, file, &from);
    if (r < 0) return check(at_, kStepLinkat, r);
    if (look(parent, last, &to) >= 0 && to.stx_ino == from.stx_ino) return 0;
    long made = sys(__NR_linkat, above, file, parent, last, 0);
    if (made == -EEXIST) {
      r = clear(parent, last);
      if (r >= 0) r = parent = find(name_, parent_name_, &parent_, &last, true);
      // Looked up again: making room for the link may have taken the file away.
      if (r >= 0) r = above = find(target_, linked_name_, &linked_, &file, false);
      if (r < 0) return r;
      made = sys(__NR_linkat, above, file, parent, last, 0);
    }
    return check(at_, kStepLinkat, made);
  }

  int make_node_at(int parent, const char* last) {
    uint32_t mode = record_.mode, device = device_number(record_.major, record_.minor);
    int r = make_in_place(&parent, &last, kStepMknodat, [mode, device](int dir, const char* name) {
      return sys(__NR_mknodat, dir, name, mode, device);
    });
    return r < 0 ? r : finish_entry(parent, last, static_cast<int>(mode & kTypeBits));
  }

  // What the layer itself has there stays, and hides the lower one as well.
  int make_whiteout(int parent, const char* last) {
    long r = sys(__NR_mknodat, parent, last, kCharacter, 0);
    if (r != -EEXIST) return check(at_, kStepMknodat, r);
    struct statx st;
    int found = look(parent, last, &st);
    return found >= 0 && (st.stx_mode & kTypeBits) == kDirectory ? set_opaque(parent, last) : found;
  }

  int set_opaque(int parent, const char* last) {
    Fd directory(check(at_, kStepOpen, sys(__NR_openat, parent, last, kRead)));
    return directory.ok() ? opaque(directory.get()) : directory.get();
  }

  int mark_opaque() {
    int found = open_below(at_, root_, name_, O_RDONLY | O_DIRECTORY);
    if (found == -ENOENT) {
      Fd made(make_directory(at_, root_, name_, 0755));
      found = made.ok() ? open_below(at_, root_, name_, O_RDONLY | O_DIRECTORY) : made.get();
    }
    Fd directory(found);
    return found < 0 ? found : opaque(found);
  }

  int opaque(int directory) { return check(at_, kStepSetxattr, sys(__NR_fsetxattr, directory, kOpaque, "y", 1, 0)); }

  // Takes away and makes anew: what is in it goes, its name stays.
  int empty() {
    Fd directory(open_below(at_, root_, name_, O_RDONLY | O_DIRECTORY));
    if (!directory.ok()) return directory.get() == -ENOENT || directory.get() == -ENOTDIR ? 0 : directory.get();
    forget();
    return empty_directory(at_, directory.release());
  }

  int settle(int parent, const char* last) {
    Fd directory(static_cast<int>(sys(__NR_openat, parent, last, kRead)));
    int r = directory.get();
    if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP) return 0;
    return r < 0 ? check(at_, kStepOpen, r) : finish(r);
  }

  int look(int parent, const char* last, struct statx* st) {
    constexpr uint32_t kWanted = STATX_TYPE | STATX_INO;
    return check(at_, kStepFstat, sys(__NR_statx, parent, last, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, kWanted, st));
  }

  static bool is_whiteout(const struct statx& st) {
    return (st.stx_mode & kTypeBits) == kCharacter && st.stx_rdev_major == 0 && st.stx_rdev_minor == 0;
  }

  int failed(int r) {
    memcpy(failed_name, name_, strlen(name_) + 1);
    at_.detail = failed_name;
    return r;
  }

  static constexpr int kRead = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

  Where& at_;
  Source source_;
  int root_;
  Record record_ = {};
  const uint8_t* attributes_ = nullptr;
  Fd parent_, linked_;
  struct Made {
    bool known;
    uint32_t mode, uid, gid;
  } made_ = {};
  static char name_[kPathBytesMax + 1], target_[kPathBytesMax + 1];
  static char parent_name_[kPathBytesMax + 1], linked_name_[kPathBytesMax + 1];
  static uint8_t kept_[kAttributesMax];
};

char Unpacker::name_[kPathBytesMax + 1], Unpacker::target_[kPathBytesMax + 1];
char Unpacker::parent_name_[kPathBytesMax + 1], Unpacker::linked_name_[kPathBytesMax + 1];
uint8_t Unpacker::kept_[kAttributesMax];

}  // namespace

int unpack(Where& at, int source, int root) { return Unpacker(at, source, root).run(); }

}  // namespace runts
