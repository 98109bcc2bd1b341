#include "verify.h"

#include <string.h>

#include "ops.gen.h"

namespace runts {

namespace {

enum { kSkipMax = 15, kGuardMax = 16, kErrnoMax = 4095 };

// Which registers hold something.
struct Registers {
  uint64_t bits[kRegistersMax / 64];
  bool has(uint64_t r) const { return bits[r / 64] >> (r % 64) & 1; }
  void add(uint64_t r) { bits[r / 64] |= 1ull << (r % 64); }
  void keep(const Registers& other) {
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++) bits[i] &= other.bits[i];
  }
};

// What a jump brings along to the op it lands on. Skips are shorter than the ring.
struct Landing {
  bool used;
  Registers defined;
};

class Verifier {
 public:
  Verifier(const uint8_t* bytes, size_t size) : header_(reinterpret_cast<const Header*>(bytes)), size_(size) {}

  Verdict run() {
    if (const char* reason = check_header()) return {reason, 0};
    ops_ = reinterpret_cast<const Op*>(header_ + 1);
    data_ = reinterpret_cast<const uint8_t*>(ops_ + header_->ops);
    if (data_[header_->data - 1] != 0) return {"the data does not end in NUL", 0};  // so every string in it does
    for (uint32_t r = 0; r < header_->inputs; r++) defined_.add(r);
    for (uint32_t i = 0; i < header_->ops; i++) {
      if (const char* reason = check_op(i)) return {reason, i};
    }
    return {nullptr, header_->ops};
  }

 private:
  const char* check_header() const {
    if (size_ < sizeof(Header) || header_->magic != kMagic) return "not a program";
    if (header_->version != kVersion) return "another version of the format";
    if (header_->schema != kSchema) return "encoded with another table of ops";
    if (header_->flags & ~(kFlagTrace | kFlagTest)) return "unknown flags";
    for (uint8_t byte : header_->reserved) {
      if (byte) return "reserved bytes are not zero";
    }
    if (!(header_->flags & kFlagTest) && (header_->fail_at || header_->fail_errno)) return "a fault without the flag";
    if (header_->fail_errno > kErrnoMax) return "fault out of range";
    if (header_->total != size_ || size_ > kProgramBytesMax) return "the size is wrong";
    if (header_->ops == 0 || header_->ops > kOpsMax) return "too few or too many ops";
    if (header_->registers > kRegistersMax || header_->inputs > header_->registers) return "too many registers";
    if (header_->inputs > kHandlesMax) return "too many inputs";
    uint64_t sum = sizeof(Header) + static_cast<uint64_t>(header_->ops) * sizeof(Op) + header_->data;
    if (sum != size_ || header_->data < 8 || header_->data % 8) return "the sections do not add up";
    return nullptr;
  }

  const char* check_op(uint32_t i) {
    const Op& op = ops_[i];
    if (op.code >= kOpCount) return "unknown op";
    const OpInfo& info = kOps[op.code];
    if (Landing& landing = landings_[i % (kSkipMax + 1)]; landing.used) {
      defined_.keep(landing.defined);
      landing.used = false;
    }
    if (const char* reason = check_flow(i, op, info)) return reason;
    if (const char* reason = check_order(op, info)) return reason;
    Registers before = defined_;
    for (uint32_t s = 0; s < kSlots; s++) {
      if (const char* reason = check_operand(info.operand[s], op.arg[s])) return reason;
    }
    if (op.skip) land(i + 1 + op.skip, defined_);
    if (op.on_error == kOnErrorSkip) defined_ = before;  // the next op cannot rely on what this one makes
    return nullptr;
  }

  const char* check_flow(uint32_t i, const Op& op, const OpInfo& info) const {
    bool last = i + 1 == header_->ops;
    if (static_cast<bool>(info.end) != last) return last ? "the program does not end" : "ops after the end";
    if (op.on_error > kOnErrorSkip || op.skip > kSkipMax) return "unknown condition";
    if (op.on_error == kOnErrorFail && (op.guard || op.skip)) return "a condition without a guard";
    if (op.on_error == kOnErrorSkip && !guard_ok(op.guard)) return "the guard is not a set of errnos";
    if (last && op.on_error) return "the end must not be skipped";
    if (op.skip && i + 1 + op.skip >= header_->ops) return "a skip past the end";
    for (uint32_t k = i + 1; k <= i + op.skip && op.skip; k++) {
      if (ops_[k].code < kOpCount && kOps[ops_[k].code].barrier) return "a skip over a barrier";
    }
    if (op.on_error && info.barrier) return "a barrier must not be skipped";
    return nullptr;
  }

  const char* check_order(const Op& op, const OpInfo& info) {
    if (op.code == kOpPivot && pivoted_) return "a second pivot";
    if (info.host && pivoted_) return "a path of the host after the pivot";
    pivoted_ = pivoted_ || op.code == kOpPivot;
    return nullptr;
  }

  bool guard_ok(uint32_t offset) const {
    uint32_t count;
    if (!list_at(offset, 4, &count) || count == 0 || count > kGuardMax) return false;
    for (uint32_t k = 0; k < count; k++) {
      uint32_t number = word_at(offset + 4 + 4 * k);
      if (number == 0 || number > kErrnoMax) return false;
    }
    return true;
  }

  const char* check_operand(const OperandInfo& operand, uint64_t value) {
    switch (operand.kind) {
      case kKindNone: return value ? "a value where none belongs" : nullptr;
      case kKindInt: return value > operand.max() ? "a number out of range" : nullptr;
      case kKindFlags: return value & ~operand.max() ? "unknown bits" : nullptr;
      case kKindIn: return readable(value) ? nullptr : "a register is read before it is written";
      case kKindMaybe:
        return value == kNoRegister || readable(value) ? nullptr : "a register is read before it is written";
      case kKindOut:
        if (value >= header_->registers) return "no such register";
        if (defined_.has(value)) return "a register is written twice";
        defined_.add(value);
        return nullptr;
      case kKindText: return string_ok(value) ? nullptr : "a string out of range";
      case kKindTexts:
      case kKindBytes:
      case kKindIns: return check_list(operand.kind, value);
    }
    return "unknown kind";
  }

  const char* check_list(Kind kind, uint64_t offset) const {
    uint32_t count;
    if (!list_at(offset, kind == kKindBytes ? 1 : 4, &count)) return "a list out of range";
    for (uint32_t k = 0; k < count && kind != kKindBytes; k++) {
      uint32_t item = word_at(static_cast<uint32_t>(offset) + 4 + 4 * k);
      if (kind == kKindTexts ? !string_ok(item) : !readable(item)) return "an item of a list is out of range";
    }
    return nullptr;
  }

  bool readable(uint64_t r) const { return r < header_->registers && defined_.has(r); }
  bool string_ok(uint64_t offset) const { return offset != 0 && offset < header_->data; }
  uint32_t word_at(uint32_t offset) const {
    uint32_t value;
    memcpy(&value, data_ + offset, sizeof value);
    return value;
  }
  bool list_at(uint64_t offset, uint64_t item, uint32_t* count) const {
    if (offset == 0 || offset % 4 || offset + 4 > header_->data) return false;
    *count = word_at(static_cast<uint32_t>(offset));
    return offset + 4 + *count * item <= header_->data;
  }

  void land(uint32_t target, const Registers& defined) {
    Landing& landing = landings_[target % (kSkipMax + 1)];
    if (landing.used) {
      landing.defined.keep(defined);
    } else {
      landing = {true, defined};
    }
  }

  const Header* header_;
  size_t size_;
  const Op* ops_ = nullptr;
  const uint8_t* data_ = nullptr;
  Registers defined_ = {};
  Landing landings_[kSkipMax + 1] = {};
  bool pivoted_ = false;
};

}  // namespace

Verdict verify(const uint8_t* bytes, size_t size) { return Verifier(bytes, size).run(); }

}  // namespace runts
