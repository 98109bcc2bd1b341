#include "device_filter.h"

#include <errno.h>
#include <linux/bpf.h>
#include <string.h>

namespace runts {

namespace {

// By which ours is told from those of others, a service manager's say. BPF_OBJ_NAME_LEN allows 15 characters.
constexpr char kName[] = "runts_devices";
static_assert(sizeof kName <= BPF_OBJ_NAME_LEN, "the name of a program is cut off");
// The kernel attaches no more to one cgroup (BPF_CGROUP_MAX_PROGS).
constexpr uint32_t kProgramsMax = 64;

long bpf(Where& at, const char* what, int command, union bpf_attr* attributes) {
  return check(at, kStepOp, what, sys(__NR_bpf, command, attributes, sizeof *attributes));
}

uint64_t address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

int load(Where& at, const uint8_t* program, size_t bytes) {
  union bpf_attr attributes = {};
  attributes.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  attributes.insns = address(program);
  attributes.insn_cnt = static_cast<uint32_t>(bytes / sizeof(struct bpf_insn));
  attributes.license = address("Apache-2.0");
  memcpy(attributes.prog_name, kName, sizeof kName);
  return static_cast<int>(bpf(at, "BPF_PROG_LOAD", BPF_PROG_LOAD, &attributes));
}

// The program of an id where it is ours, or nothing: it may be gone by now.
Fd ours(uint32_t id) {
  Where at;
  union bpf_attr by_id = {};
  by_id.prog_id = id;
  Fd program(static_cast<int>(bpf(at, "BPF_PROG_GET_FD_BY_ID", BPF_PROG_GET_FD_BY_ID, &by_id)));
  if (!program.ok()) return program;
  struct bpf_prog_info known = {};
  union bpf_attr info = {};
  info.info.bpf_fd = static_cast<uint32_t>(program.get());
  info.info.info_len = sizeof known;
  info.info.info = address(&known);
  long r = bpf(at, "BPF_OBJ_GET_INFO_BY_FD", BPF_OBJ_GET_INFO_BY_FD, &info);
  return r >= 0 && strcmp(known.name, kName) == 0 ? static_cast<Fd&&>(program) : Fd();
}

// Every program of ours that is attached to this very cgroup.
struct Programs {
  Fd list[kProgramsMax];
  uint32_t count = 0;
};

int attached(Where& at, int cgroup, Programs* programs) {
  uint32_t ids[kProgramsMax] = {};
  union bpf_attr query = {};
  query.query.target_fd = static_cast<uint32_t>(cgroup);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = address(ids);
  query.query.prog_cnt = kProgramsMax;
  long r = bpf(at, "BPF_PROG_QUERY", BPF_PROG_QUERY, &query);
  if (r < 0) return static_cast<int>(r);
  for (uint32_t i = 0; i < query.query.prog_cnt && i < kProgramsMax; i++) {
    Fd program = ours(ids[i]);
    if (program.ok()) programs->list[programs->count++] = static_cast<Fd&&>(program);
  }
  return 0;
}

// Which of two programs decides changes at once: there is no moment without a filter.
int attach(Where& at, int cgroup, int program, const Programs& before) {
  union bpf_attr attributes = {};
  attributes.target_fd = static_cast<uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  attributes.attach_flags = BPF_F_ALLOW_MULTI;
  if (before.count > 0) {
    attributes.attach_flags |= BPF_F_REPLACE;
    attributes.replace_bpf_fd = static_cast<uint32_t>(before.list[0].get());
  }
  return static_cast<int>(bpf(at, "BPF_PROG_ATTACH", BPF_PROG_ATTACH, &attributes));
}

int detach(Where& at, int cgroup, int program) {
  union bpf_attr attributes = {};
  attributes.target_fd = static_cast<uint32_t>(cgroup);
  attributes.attach_bpf_fd = static_cast<uint32_t>(program);
  attributes.attach_type = BPF_CGROUP_DEVICE;
  return static_cast<int>(bpf(at, "BPF_PROG_DETACH", BPF_PROG_DETACH, &attributes));
}

}  // namespace

int filter_devices(Where& at, int cgroup, const uint8_t* bytes, size_t size) {
  Programs before;
  int r = attached(at, cgroup, &before);
  if (r < 0) return r;
  Fd program(load(at, bytes, size));
  if (!program.ok()) return program.get();
  r = attach(at, cgroup, program.get(), before);
  // More than one is not of our making here, but what it forbids would stay forbidden.
  for (uint32_t i = 1; r >= 0 && i < before.count; i++) r = detach(at, cgroup, before.list[i].get());
  return r;
}

}  // namespace runts
