#include "program.h"

#include <string.h>

#include "../program/ops.gen.h"
#include "../program/operands.h"
#include "kernel.h"

namespace runts {

namespace {

// xorshift64: libFuzzer gives one seed for a mutation.
struct Random {
  uint64_t state;
  uint64_t next() {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  }
  uint32_t below(size_t end) { return end == 0 ? 0 : static_cast<uint32_t>(next() % end); }
};

struct Parts {
  Header* header;
  Op* ops;
  uint8_t* data;
};
Parts parts(uint8_t* program) {
  auto* header = reinterpret_cast<Header*>(program);
  auto* ops = reinterpret_cast<Op*>(header + 1);
  return {header, ops, reinterpret_cast<uint8_t*>(ops + header->ops)};
}

// A value that an operand of this kind may have.
uint64_t value_for(const Parts& p, const OperandInfo& operand, Random& random) {
  const Header& h = *p.header;
  switch (operand.kind) {
    case kKindInt: return random.below(4) ? random.below(operand.max() < 64 ? operand.max() + 1 : 64) : operand.max();
    case kKindFlags: return random.next() & operand.max();
    case kKindMaybe: return random.below(2) ? kNoRegister : random.below(h.registers);
    case kKindIn:
    case kKindOut: return random.below(h.registers);
    case kKindText: return 8 + random.below(h.data - 8);
    case kKindTexts:
    case kKindBytes:
    case kKindIns: {
      // Another op's list, which is one already; or a place that may be one.
      const Op& other = p.ops[random.below(h.ops)];
      uint64_t theirs = other.arg[random.below(kSlots)];
      return random.below(4) && theirs >= 8 && theirs < h.data ? theirs & ~3ull : 8 + (random.below(h.data - 8) & ~3u);
    }
    case kKindNone: return 0;
  }
  return 0;
}

void change_operand(const Parts& p, Random& random) {
  Op& op = p.ops[random.below(p.header->ops)];
  if (op.code >= kOpCount) op.code = static_cast<uint16_t>(random.below(kOpCount));
  uint32_t slot = random.below(kSlots);
  op.arg[slot] = value_for(p, kOps[op.code].operand[slot], random);
}

// Another op, with operands that may be its own.
void change_op(const Parts& p, Random& random) {
  uint32_t last = p.header->ops - 1, i = random.below(p.header->ops);
  Op& op = p.ops[i];
  do op.code = static_cast<uint16_t>(random.below(kOpCount));
  while (static_cast<bool>(kOps[op.code].end) != (i == last));
  op.on_error = kOnErrorFail;
  op.skip = 0;
  op.guard = 0;
  for (uint32_t slot = 0; slot < kSlots; slot++) op.arg[slot] = value_for(p, kOps[op.code].operand[slot], random);
}

void change_condition(const Parts& p, Random& random) {
  Op& op = p.ops[random.below(p.header->ops)];
  const Op& other = p.ops[random.below(p.header->ops)];
  op.on_error = other.on_error;
  op.guard = other.guard;
  op.skip = other.on_error == kOnErrorSkip ? static_cast<uint8_t>(random.below(4)) : 0;
}

void swap_ops(const Parts& p, Random& random) {
  if (p.header->ops < 3) return;
  Op& a = p.ops[random.below(p.header->ops - 1)];
  Op& b = p.ops[random.below(p.header->ops - 1)];
  Op kept = a;
  a = b;
  if (random.below(2)) b = kept;
}

void change_data(const Parts& p, Random& random) {
  if (p.header->data < 17) return;
  uint32_t at = 8 + random.below(p.header->data - 16);
  static const char kTelling[] = "/.=,:%\n\0..\xff\\";
  if (random.below(2)) {
    uint32_t word = random.below(2) ? random.below(p.header->data) : random.below(8);
    memcpy(p.data + (at & ~3u), &word, sizeof word);
  } else {
    p.data[at] = static_cast<uint8_t>(random.below(2) ? kTelling[random.below(sizeof kTelling)] : random.next());
  }
}

}  // namespace

size_t program_size(const uint8_t* input, size_t size) {
  if (size < sizeof(Header) + sizeof(Op) + 8) return 0;
  Header header;
  memcpy(&header, input, sizeof header);
  size_t total = header.total & ~7u;
  return total < sizeof(Header) + sizeof(Op) + 8 || total > size ? size & ~size_t{7} : total;
}

void repair(uint8_t* program, size_t size) {
  Header& h = *reinterpret_cast<Header*>(program);
  h.magic = kMagic;
  h.version = kVersion;
  h.schema = kSchema;
  h.total = static_cast<uint32_t>(size);
  h.flags &= kFlagTrace;
  h.fail_at = h.fail_errno = 0;
  memset(h.reserved, 0, sizeof h.reserved);
  uint32_t most = static_cast<uint32_t>((size - sizeof(Header) - 8) / sizeof(Op));
  if (h.ops < 1 || h.ops > most) h.ops = most;
  if (h.ops > kOpsMax) h.ops = kOpsMax;
  h.data = static_cast<uint32_t>(size - sizeof(Header) - h.ops * sizeof(Op));
  h.registers %= kRegistersMax + 1;
  h.inputs %= h.registers < kHandlesMax ? h.registers + 1 : kHandlesMax + 1;
  auto* data = program + sizeof(Header) + h.ops * sizeof(Op);
  memset(data, 0, 8);
  data[h.data - 1] = 0;
}

void change(uint8_t* program, size_t size, unsigned seed) {
  Random random = {seed * 0x9e3779b97f4a7c15ull + 1};
  repair(program, size);
  Parts p = parts(program);
  static constexpr void (*kChanges[])(const Parts&, Random&) = {change_operand, change_operand, change_op,
                                                               change_condition, swap_ops, change_data};
  for (uint32_t n = 1 + random.below(3); n > 0; n--) {
    kChanges[random.below(sizeof kChanges / sizeof *kChanges)](p, random);
  }
}

void read_all(const uint8_t* program) {
  auto* header = reinterpret_cast<const Header*>(program);
  auto* ops = reinterpret_cast<const Op*>(header + 1);
  auto* data = reinterpret_cast<const uint8_t*>(ops + header->ops);
  volatile size_t read = 0;
  for (uint32_t i = 0; i < header->ops; i++) {
    const Op& op = ops[i];
    Operands o(op, data);
    for (int slot = 0; slot < static_cast<int>(kSlots); slot++) {
      Kind kind = kOps[op.code].operand[slot].kind;
      if (kind == kKindText) read = read + strlen(o.text(slot));
      if (kind == kKindIn || kind == kKindMaybe) read = read + static_cast<size_t>(o.fd(slot) + 1);
      if (kind == kKindOut && o.number(slot) >= kRegistersMax) broken("a register is outside");
      bool list = kind == kKindTexts || kind == kKindBytes || kind == kKindIns;
      for (uint32_t k = 0; list && k < o.count(slot); k++) {
        if (kind == kKindTexts) read = read + strlen(o.text_at(slot, k));
        if (kind == kKindIns) read = read + static_cast<size_t>(o.fd_at(slot, k) + 1);
        if (kind == kKindBytes) read = read + static_cast<const uint8_t*>(o.bytes(slot))[k];
      }
    }
    if (op.on_error != kOnErrorSkip) continue;
    uint32_t count;
    memcpy(&count, data + op.guard, sizeof count);
    for (uint32_t k = 1; k <= count; k++) read = read + data[op.guard + 4 * k + 3];
    if (i + 1 + op.skip >= header->ops) broken("a skip leads out of the program");
  }
}

}  // namespace runts
