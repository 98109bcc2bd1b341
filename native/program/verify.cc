// The rules, their order and the words for them are those of lib/program/verify.ts, which spells the algorithm out.
#include "verify.h"

#include <string.h>

#include "ops.gen.h"

namespace runts {

namespace {

enum { kSkipMax = 15, kRing = kSkipMax + 1, kGuardMax = 16, kErrnoMax = 4095, kSetWords = kRegistersMax / 64 };

struct Registers {
  uint64_t bits[kSetWords];
  bool has(uint64_t r) const { return bits[r / 64] >> (r % 64) & 1; }
  void add(uint64_t r) { bits[r / 64] |= 1ull << (r % 64); }
};

// Registers that are filled on every way to an op, and on some way.
struct Known {
  Registers must, may;
};

// What may still run once a filter is installed, which may deny anything else: the hooks that it is to bind, and what
// follows them; and the last steps of who joins a container, where the filter was seen to let them.
constexpr uint8_t kAfterFilter[] = {kOpSeccomp,    kOpListener,  kOpSendHandle, kOpExec,       kOpHalt, kOpHook,
                                    kOpDescriptors, kOpCloseFrom, kOpRlimit,     kOpServeView, kOpFork, kOpNewSession,
                                    kOpControllingTerminal, kOpKeepOnly, kOpSync, kOpChdir, kOpNextProgram};
// Without no_new_privs a filter needs CAP_SYS_ADMIN, so it goes before the ops that give capabilities up.
constexpr uint8_t kAfterEarlyFilter[] = {kOpBounding,     kOpIds,        kOpCapabilities, kOpNoNewPrivs,
                                         kOpDeathSignal, kOpChdirAgain, kOpFind};

bool among(const uint8_t* codes, size_t count, uint16_t code) {
  for (size_t i = 0; i < count; i++) {
    if (codes[i] == code) return true;
  }
  return false;
}

bool may_follow_filter(uint16_t code, bool unprivileged) {
  return among(kAfterFilter, sizeof kAfterFilter, code) ||
         (!unprivileged && among(kAfterEarlyFilter, sizeof kAfterEarlyFilter, code));
}

// What a reaper cannot follow: it knows one child, and the channel that they have in common.
bool not_under_reaper(uint16_t code) {
  return code == kOpReap || code == kOpOutlive || code == kOpFork || code == kOpAwaitStart || code == kOpNextProgram;
}

class Verifier {
 public:
  Verifier(const uint8_t* bytes, size_t size) : header_(reinterpret_cast<const Header*>(bytes)), size_(size) {}

  Verdict run() {
    if (const char* reason = check_header()) return {reason, -1};
    for (auto& slot : ring_) clear(slot);
    ring_[0] = {};
    for (uint32_t r = 0; r < header_->inputs; r++) {
      ring_[0].must.add(r);
      ring_[0].may.add(r);
    }
    for (uint32_t i = 0; i < header_->ops; i++) {
      if (const char* reason = check_op(i)) return {reason, static_cast<int32_t>(i)};
    }
    return {nullptr, 0};
  }

 private:
  const char* check_header() {
    if (size_ < sizeof(Header) || size_ % 8 || size_ > kProgramBytesMax) return "size";
    const Header& h = *header_;
    if (h.magic != kMagic) return "magic";
    if (h.version != kVersion) return "version";
    if (h.schema != kSchema) return "schema";
    if (h.flags & ~(kFlagTrace | kFlagTest)) return "flags";
    if (h.ops < 1 || h.ops > kOpsMax || h.data < 8 || h.data % 8 || h.total != size_) return "size";
    if (sizeof(Header) + static_cast<uint64_t>(h.ops) * sizeof(Op) + h.data != size_) return "size";
    if (h.registers > kRegistersMax || h.inputs > kHandlesMax || h.inputs > h.registers) return "registers";
    bool fault_ok = h.flags & kFlagTest ? h.fail_at < h.ops && h.fail_errno >= 1 && h.fail_errno <= kErrnoMax
                                        : h.fail_at == 0 && h.fail_errno == 0;
    if (!fault_ok) return "fail_at";
    for (uint8_t byte : h.reserved) {
      if (byte) return "reserved";
    }
    ops_ = reinterpret_cast<const Op*>(header_ + 1);
    data_ = reinterpret_cast<const uint8_t*>(ops_ + h.ops);
    if (word_at(0) || word_at(4) || data_[h.data - 1]) return "data";  // so every string in it ends in it
    return nullptr;
  }

  const char* check_op(uint32_t i) {
    const Op& op = ops_[i];
    if (op.code >= kOpCount) return "opcode";
    const OpInfo& info = kOps[op.code];
    before_ = ring_[i % kRing];
    after_ = before_;
    clear(ring_[i % kRing]);
    if (const char* reason = check_order(i, op, info)) return reason;
    if (const char* reason = check_condition(i, op)) return reason;
    for (uint32_t s = 0; s < kSlots; s++) {
      if (const char* reason = check_slot(info.operand[s], op.arg[s])) return reason;
    }
    // An op that is skipped on an error leaves its registers unfilled.
    flow(i + 1, op.on_error == kOnErrorSkip ? before_ : after_);
    if (op.on_error == kOnErrorSkip) flow(i + 1 + op.skip, after_);
    return nullptr;
  }

  const char* check_order(uint32_t i, const Op& op, const OpInfo& info) {
    if (info.barrier && (landing_ > i || op.on_error != kOnErrorFail)) return "barrier";
    if (static_cast<bool>(info.end) != (i + 1 == header_->ops)) return "end";
    if (reaped_ && not_under_reaper(op.code)) return "reap";
    reaped_ = reaped_ || op.code == kOpReap;
    bool pivots = op.code == kOpPivot || op.code == kOpMoveRoot;
    if (pivoted_ && (info.host || pivots)) return "pivot";
    pivoted_ = pivoted_ || pivots;
    if (filtered_) return may_follow_filter(op.code, unprivileged_) ? nullptr : "seccomp";
    filtered_ = op.code == kOpSeccomp || op.code == kOpListener;
    unprivileged_ = unprivileged_ || (op.code == kOpNoNewPrivs && op.on_error == kOnErrorFail);
    return nullptr;
  }

  const char* check_condition(uint32_t i, const Op& op) {
    if (op.on_error == kOnErrorFail) return op.skip || op.guard ? "condition" : nullptr;
    if (op.on_error != kOnErrorSkip || op.skip > kSkipMax || i + 1 + op.skip >= header_->ops) return "condition";
    uint32_t count;
    if (!list_at(op.guard, 4, &count) || count < 1 || count > kGuardMax) return "condition";
    for (uint32_t k = 1; k <= count; k++) {
      uint32_t number = word_at(op.guard + 4 * k);
      if (number < 1 || number > kErrnoMax) return "condition";
    }
    if (landing_ < i + 1 + op.skip) landing_ = i + 1 + op.skip;
    return nullptr;
  }

  const char* check_slot(const OperandInfo& operand, uint64_t value) {
    switch (operand.kind) {
      case kKindNone: return value ? "slot" : nullptr;
      case kKindInt: return value > operand.max() ? "int" : nullptr;
      case kKindFlags: return value & ~operand.max() ? "flags" : nullptr;
      case kKindIn: return filled(value) ? nullptr : "register";
      case kKindMaybe: return value == kNoRegister || filled(value) ? nullptr : "register";
      case kKindOut:
        if (value >= header_->registers || after_.may.has(value)) return "fill";
        after_.must.add(value);
        after_.may.add(value);
        return nullptr;
      case kKindText: return string_ok(value) ? nullptr : "text";
      case kKindBytes: {
        uint32_t size;
        return list_at(value, 1, &size) ? nullptr : "bytes";
      }
      case kKindTexts:
      case kKindIns: return check_list(operand.kind, value);
    }
    return "slot";
  }

  const char* check_list(Kind kind, uint64_t offset) const {
    uint32_t count;
    if (!list_at(offset, 4, &count)) return "list";
    for (uint32_t k = 1; k <= count; k++) {
      uint32_t item = word_at(static_cast<uint32_t>(offset) + 4 * k);
      if (kind == kKindTexts && !string_ok(item)) return "list";
      if (kind == kKindIns && !filled(item)) return "register";
    }
    return nullptr;
  }

  bool filled(uint64_t r) const { return r < header_->registers && before_.must.has(r); }
  bool string_ok(uint64_t offset) const { return offset >= 8 && offset < header_->data; }
  uint32_t word_at(uint32_t offset) const {
    uint32_t value;
    memcpy(&value, data_ + offset, sizeof value);
    return value;
  }
  // A count, then so many items of so many bytes, all inside the data.
  bool list_at(uint64_t offset, uint64_t item, uint32_t* count) const {
    if (offset < 8 || offset % 4 || offset > header_->data || offset + 4 > header_->data) return false;
    *count = word_at(static_cast<uint32_t>(offset));
    return offset + 4 + *count * item <= header_->data;
  }

  // The neutral element: what any way to an op narrows and widens.
  static void clear(Known& known) {
    for (size_t w = 0; w < kSetWords; w++) {
      known.must.bits[w] = ~0ull;
      known.may.bits[w] = 0;
    }
  }

  void flow(uint32_t to, const Known& known) {
    Known& there = ring_[to % kRing];
    for (size_t w = 0; w < kSetWords; w++) {
      there.must.bits[w] &= known.must.bits[w];
      there.may.bits[w] |= known.may.bits[w];
    }
  }

  const Header* header_;
  size_t size_;
  const Op* ops_ = nullptr;
  const uint8_t* data_ = nullptr;
  Known ring_[kRing], before_, after_;
  uint32_t landing_ = 0;  // the furthest op that a skip leads to
  bool reaped_ = false, pivoted_ = false, filtered_ = false, unprivileged_ = false;
};

}  // namespace

Verdict verify(const uint8_t* bytes, size_t size) { return Verifier(bytes, size).run(); }

}  // namespace runts
