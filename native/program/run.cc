#include "run.h"

#include <linux/fcntl.h>
#include <string.h>

#include "../ops/cgroup.h"
#include "../ops/copy.h"
#include "../ops/files.h"
#include "../ops/fuse.h"
#include "../ops/identity.h"
#include "../ops/mounts.h"
#include "../ops/namespaces.h"
#include "../ops/network.h"
#include "../ops/path.h"
#include "../ops/process.h"
#include "../ops/root.h"
#include "../ops/schedule.h"
#include "../ops/terminal.h"
#include "../ops/tree.h"
#include "../ops/unpack.h"
#include "commands.h"
#include "link.h"

namespace runts {

int registers[kRegistersMax];

namespace {

enum : uint64_t { kNewListener = 8 };  // SECCOMP_FILTER_FLAG_NEW_LISTENER

char kernel_message[240];
bool arrived = false;  // whether the last chdir has led where it was to

struct List {
  const Operands& operands;
  int slot;
};

const char* option_at(const void* list, uint32_t i) {
  auto* from = static_cast<const List*>(list);
  return from->operands.text_at(from->slot, i);
}

int run_fsmount(Where& at, const Operands& o) {
  using s = slots_fsmount;
  List list = {o, s::options_};
  Options options = {o.count(s::options_), option_at, &list};
  return o.set(s::dst_, fsmount(at, o.text(s::fstype_), options, o.number(s::attributes_), kernel_message,
                                sizeof kernel_message));
}

int run_reconfigure(Where& at, const Operands& o) {
  using s = slots_reconfigure;
  List list = {o, s::options_};
  Options options = {o.count(s::options_), option_at, &list};
  return reconfigure(at, o.fd(s::src_), options, kernel_message, sizeof kernel_message);
}

int run_fuse_mount(Where& at, const Operands& o) {
  using s = slots_fuse_mount;
  int device = -1;
  int mount = fuse_mount(at, &device, kernel_message, sizeof kernel_message);
  o.set(s::device_, device);
  return o.set(s::mount_, mount);
}

int run_serve_view(Where& at, const Operands& o) {
  using s = slots_serve_view;
  ViewSources sources = {o.fd(s::proc_), o.fd(s::process_), o.fd(s::cgroup_)};
  return serve_view(at, o.fd(s::device_), o.flag(s::owned_) ? channel_fd() : -1, sources);
}

int run_scheduler(Where& at, const Operands& o) {
  using s = slots_scheduler;
  return set_scheduler(at, Scheduling{o.small(s::policy_), o.number(s::flags_), static_cast<int32_t>(o.small(s::nice_)),
                                      o.small(s::priority_), o.number(s::runtime_), o.number(s::deadline_),
                                      o.number(s::period_)});
}

int run_join(Where& at, const Operands& o) {
  using s = slots_join;
  int fds[16];
  uint32_t count = o.count(s::namespaces_);
  if (count > sizeof fds / sizeof *fds) return -EINVAL;
  for (uint32_t i = 0; i < count; i++) fds[i] = o.fd_at(s::namespaces_, i);
  return join_namespaces(at, fds, count, o.fd(s::user_));
}

int run_ids(Where& at, const Operands& o) {
  using s = slots_ids;
  auto* groups = o.flag(s::keep_groups_) ? nullptr : static_cast<const uint32_t*>(o.bytes(s::groups_));
  return set_ids(at, o.small(s::uid_), o.small(s::gid_), groups, o.count(s::groups_) / 4);
}

int run_capabilities(Where& at, const Operands& o) {
  using s = slots_capabilities;
  return set_capabilities(at, Capabilities{o.number(s::effective_), o.number(s::permitted_), o.number(s::inheritable_),
                                           o.number(s::ambient_)});
}

int run_pty(Where& at, const Operands& o) {
  using s = slots_pty;
  int master = -1, slave = -1;
  int r = open_pty(at, o.fd(s::devpts_), &master, &slave);
  o.set(s::master_, master);
  o.set(s::slave_, slave);
  return r;
}

int open_host(Where& at, const char* path) {
  return check(at, kStepOpen, path, sys(__NR_openat, AT_FDCWD, path, O_PATH | O_CLOEXEC));
}

// make_directory opens what it makes; the op wants it made only.
int directory(Where& at, int root, const char* path, uint32_t mode) {
  Fd made(make_directory(at, root, path, mode));
  return made.ok() ? 0 : made.get();
}

int run_filter(Where& at, const Operands& o, int slot, uint64_t flags) {
  int ready = reaper_is_ready(at);  // the filter may deny the call that asks
  return ready < 0 ? ready : load_seccomp(at, o.bytes(slot), o.count(slot), flags);
}

int run_receive(Where& at, const Operands& o) {
  using s = slots_receive;
  int handle = -1;
  int r = send_frame(frame_of(kFrameSync, o.small(s::tag_), 0), -1);
  r = check(at, kStepSendmsg, r < 0 ? r : wait_for_go(o.small(s::tag_), &handle));
  return r < 0 ? r : o.set(s::dst_, handle);
}

int run_op(Where& at, const Op& op, const uint8_t* data) {
  Operands o(op, data);
  switch (op.code) {
    case kOpBecomeRoot: return become_root(at);
    case kOpUnshare: return unshare_namespaces(at, o.number(slots_unshare::flags_));
    case kOpJoin: return run_join(at, o);
    case kOpFork: return run_fork(at);
    case kOpReap: return run_reap(at, &op);
    case kOpOutlive: return run_outlive(at, o);
    case kOpPropagation: return set_propagation(at, o.number(slots_propagation::flags_), true);
    case kOpRootPropagation: {
      using s = slots_root_propagation;
      return set_propagation(at, o.number(s::flags_), o.flag(s::recursive_));
    }
    case kOpOpen: return o.set(slots_open::dst_, open_host(at, o.text(slots_open::path_)));
    case kOpOpenBelow: {
      using s = slots_open_below;
      uint64_t flags = static_cast<uint64_t>(O_PATH) | (o.flag(s::directory_) ? O_DIRECTORY : 0);
      return o.set(s::dst_, open_below(at, o.fd(s::root_), o.text(s::path_), flags));
    }
    case kOpFsmount: return run_fsmount(at, o);
    case kOpCloneMount: {
      using s = slots_clone_mount;
      return o.set(s::dst_, clone_mount(at, o.text(s::path_), o.flag(s::recursive_)));
    }
    case kOpCloneBelow: {
      using s = slots_clone_below;
      return o.set(s::dst_, clone_below(at, o.fd(s::root_), o.text(s::path_), o.flag(s::recursive_)));
    }
    case kOpMountAttributes: {
      using s = slots_mount_attributes;
      return mount_attributes(at, o.fd(s::src_), MountChange{o.number(s::set_), o.number(s::clear_),
                                                             o.number(s::propagation_), o.flag(s::recursive_)});
    }
    case kOpIdmap: {
      using s = slots_idmap;
      return idmap(at, o.fd(s::src_), o.fd(s::userns_), o.flag(s::recursive_));
    }
    case kOpAttach: {
      using s = slots_attach;
      return attach(at, o.fd(s::src_), o.fd(s::root_), o.text(s::path_), o.flag(s::ordinary_));
    }
    case kOpAttachHost: return attach_host(at, o.fd(slots_attach_host::src_), o.text(slots_attach_host::path_));
    case kOpDetach: return detach(at, o.fd(slots_detach::src_));
    case kOpMask: {
      using s = slots_mask;
      return mask(at, o.fd(s::root_), o.text(s::path_), o.fd(s::null_));
    }
    case kOpReadonly: return make_readonly(at, o.fd(slots_readonly::root_), o.text(slots_readonly::path_));
    case kOpPivot: return pivot(at, o.fd(slots_pivot::root_));
    case kOpEnter: return check(at, kStepFchdir, sys(__NR_fchdir, o.fd(slots_enter::dir_)));
    case kOpDirectory: {
      using s = slots_directory;
      return directory(at, o.fd(s::root_), o.text(s::path_), o.small(s::mode_));
    }
    case kOpSymlink: {
      using s = slots_symlink;
      return make_symlink(at, o.fd(s::root_), o.text(s::path_), o.text(s::target_));
    }
    case kOpFile: {
      using s = slots_file;
      return make_file(at, o.fd(s::root_), o.text(s::path_), o.small(s::mode_), o.bytes(s::content_),
                       o.count(s::content_));
    }
    case kOpNode: {
      using s = slots_node;
      return make_node(at, o.fd(s::root_), o.text(s::path_),
                       Node{o.small(s::mode_), o.small(s::major_), o.small(s::minor_), o.small(s::uid_),
                            o.small(s::gid_)});
    }
    case kOpWrite: {
      using s = slots_write;
      return write_file(at, o.fd(s::root_), o.text(s::path_), o.bytes(s::content_), o.count(s::content_));
    }
    case kOpChown: {
      using s = slots_chown;
      return change_owner(at, o.fd(s::root_), o.text(s::path_), o.small(s::uid_), o.small(s::gid_));
    }
    case kOpChmod: {
      using s = slots_chmod;
      return change_mode(at, o.fd(s::root_), o.text(s::path_), o.small(s::mode_));
    }
    case kOpRemoveTree: return remove_tree(at, o.fd(slots_remove_tree::root_), o.text(slots_remove_tree::path_));
    case kOpHostname: return set_hostname(at, o.text(slots_hostname::name_));
    case kOpDomainname: return set_domainname(at, o.text(slots_domainname::name_));
    case kOpLinkUp: return link_up(at, o.text(slots_link_up::name_));
    case kOpRlimit: {
      using s = slots_rlimit;
      return set_rlimit(at, o.small(s::resource_), o.number(s::soft_), o.number(s::hard_));
    }
    case kOpUmask: (void)sys(__NR_umask, o.number(slots_umask::mask_)); return 0;
    case kOpChdir: {
      int r = change_directory(at, o.text(slots_chdir::path_));
      arrived = r >= 0;
      return r;
    }
    case kOpBounding: return drop_bounding(at, o.number(slots_bounding::capabilities_));
    case kOpIds: return run_ids(at, o);
    case kOpCapabilities: return run_capabilities(at, o);
    case kOpNoNewPrivs: return no_new_privs(at);
    case kOpUndumpable: return undumpable(at);
    case kOpDeathSignal: return death_signal(at, o.small(slots_death_signal::signal_));
    case kOpNewSession: return check(at, kStepSetsid, sys(__NR_setsid));
    case kOpNewKeyring: return new_keyring(at, o.text(slots_new_keyring::name_));
    case kOpPty: return run_pty(at, o);
    case kOpWindow: {
      using s = slots_window;
      return set_window(at, o.fd(s::src_), o.small(s::columns_), o.small(s::rows_));
    }
    case kOpControllingTerminal: return controlling_terminal(at, o.fd(slots_controlling_terminal::src_));
    case kOpOwn: return give_to(at, o.fd(slots_own::src_), o.small(slots_own::uid_), o.small(slots_own::gid_));
    case kOpStdio: {
      using s = slots_stdio;
      return set_stdio(at, o.fd(s::stdin_), o.fd(s::stdout_), o.fd(s::stderr_));
    }
    case kOpCloseFrom: return close_from(at, o.small(slots_close_from::fd_));
    case kOpFind: return run_find(at, o);
    case kOpSeccomp: return run_filter(at, o, slots_seccomp::filter_, o.number(slots_seccomp::flags_));
    case kOpExec: return run_exec(at, o);
    case kOpSendHandle: {
      using s = slots_send_handle;
      return check(at, kStepSendmsg, send_frame(frame_of(kFrameHandle, o.small(s::tag_), 0), o.fd(s::src_)));
    }
    case kOpSync: {
      int r = send_frame(frame_of(kFrameSync, o.small(slots_sync::tag_), 0), -1);
      return check(at, kStepSendmsg, r < 0 ? r : wait_for_go(o.small(slots_sync::tag_), nullptr));
    }
    case kOpUntilHangup: {
      int r = wait_for_go(0, nullptr);
      return r == -EPIPE ? 0 : check(at, kStepRecvmsg, r);
    }
    case kOpReceive: return run_receive(at, o);
    case kOpCloneInits: {
      using s = slots_clone_inits;
      return clone_inits(at, o.fd(s::proc_), o.text(s::uids_), o.text(s::gids_));
    }
    case kOpForkInits: return fork_inits(at, o.small(slots_fork_inits::idle_ms_));
    case kOpKeep: return keep(at);
    case kOpAwaitStart: {
      using s = slots_await_start;
      return o.set(s::dst_, await_start(at, o.fd(s::listener_), o.small(s::tag_)));
    }
    case kOpHook: return run_hook(at, o);
    case kOpListener: {
      using s = slots_listener;
      return o.set(s::dst_, run_filter(at, o, s::filter_, o.number(s::flags_) | kNewListener));
    }
    case kOpDescriptors: return run_descriptors(at, o);
    case kOpScheduler: return run_scheduler(at, o);
    case kOpIoPriority: {
      using s = slots_io_priority;
      return set_io_priority(at, o.small(s::class_), o.small(s::priority_));
    }
    case kOpAffinity: return set_affinity(at, o.bytes(slots_affinity::cpus_), o.count(slots_affinity::cpus_));
    case kOpPersonality: return set_personality(at, o.small(slots_personality::persona_));
    case kOpMemoryPolicy: {
      using s = slots_memory_policy;
      return set_memory_policy(at, o.small(s::mode_), o.bytes(s::nodes_), o.count(s::nodes_));
    }
    case kOpInherit: {
      using s = slots_inherit;
      return inherit(at, o.fd(s::src_), o.fd(s::root_), o.text(s::path_), o.flag(s::owner_));
    }
    case kOpCopyTree: return copy_tree(at, o.fd(slots_copy_tree::src_), o.fd(slots_copy_tree::dst_));
    case kOpUnpack: return unpack(at, o.fd(slots_unpack::src_), o.fd(slots_unpack::root_));
    case kOpReadTree: return read_tree(at, o.fd(slots_read_tree::src_), o.fd(slots_read_tree::root_));
    case kOpFuseMount: return run_fuse_mount(at, o);
    case kOpServeView: return run_serve_view(at, o);
    case kOpReconfigure: return run_reconfigure(at, o);
    case kOpNetDevice: {
      using s = slots_net_device;
      return move_net_device(at, o.text(s::name_), o.fd(s::netns_), o.text(s::rename_));
    }
    case kOpMoveRoot: return move_root(at, o.fd(slots_move_root::root_));
    case kOpJoinProcess: {
      using s = slots_join_process;
      return set_namespace(at, o.fd(s::src_), o.number(s::namespaces_));
    }
    case kOpExpectNamespace: {
      using s = slots_expect_namespace;
      return expect_namespace(at, o.fd(s::src_), o.number(s::type_));
    }
    case kOpClose: {
      int r = check(at, kStepCloseRange, sys(__NR_close, o.fd(slots_close::src_)));
      o.set(slots_close::src_, -1);
      return r;
    }
    case kOpKeepOnly: return run_keep_only(at, o);
    case kOpPlainOutput: return plain_output(at, o.fd(slots_plain_output::src_));
    case kOpChdirAgain: {
      int r = change_directory(at, o.text(slots_chdir_again::path_));
      return r == -EACCES && arrived ? 0 : r;
    }
    case kOpKillCgroup: return kill_cgroup(at, o.fd(slots_kill_cgroup::parent_), o.text(slots_kill_cgroup::name_));
  }
  return -ENOSYS;
}

bool guarded(const Op& op, const uint8_t* data, int error) {
  if (op.on_error != kOnErrorSkip) return false;
  uint32_t count;
  memcpy(&count, data + op.guard, sizeof count);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t number;
    memcpy(&number, data + op.guard + 4 + 4 * i, sizeof number);
    if (static_cast<int>(number) == error) return true;
  }
  return false;
}

uint64_t now_ns() {
  struct {
    int64_t s, ns;
  } time = {};
  (void)sys(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &time);
  return static_cast<uint64_t>(time.s) * 1000000000u + static_cast<uint64_t>(time.ns);
}

}  // namespace

bool run(const uint8_t* program, const int* handles, Failure* failure) {
  arrived = false;  // of a copy, which has run the program of its zygote
  auto* header = reinterpret_cast<const Header*>(program);
  auto* ops = reinterpret_cast<const Op*>(header + 1);
  auto* data = reinterpret_cast<const uint8_t*>(ops + header->ops);
  for (uint32_t r = 0; r < kRegistersMax; r++) registers[r] = r < header->inputs ? handles[r] : -1;

  for (uint32_t i = 0; i < header->ops; i++) {
    const Op& op = ops[i];
    if (op.code == kOpHalt || op.code == kOpNextProgram) return true;
    Where at;
    uint64_t began = header->flags & kFlagTrace ? now_ns() : 0;
    int r;
    if (header->fail_errno && header->fail_at == i) {
      at.step = kStepInjected;
      r = -static_cast<int>(header->fail_errno);
    } else {
      r = run_op(at, op, data);
    }
    if (r < 0 && !guarded(op, data, -r)) {
      *failure = {i, op.code, -r, at};
      return false;
    }
    if (header->flags & kFlagTrace) {
      Frame frame = frame_of(kFrameTrace, 0, now_ns() - began);
      frame.op = i;
      (void)send_frame(frame, -1);  // a lost measurement is no failure
    }
    if (r >= 0) i += op.skip;
  }
  return true;
}

}  // namespace runts
