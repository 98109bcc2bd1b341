// The operands of one op by name, and the registers that some of them stand for.
#pragma once
#include <string.h>

#include "format.h"

namespace runts {

// Descriptors by register number, -1 where nothing has filled one.
extern int registers[kRegistersMax];

// The verifier has checked every offset and register number.
class Operands {
 public:
  Operands(const Op& op, const uint8_t* data) : op_(op), data_(data) {}

  uint64_t number(int slot) const { return op_.arg[slot]; }
  uint32_t small(int slot) const { return static_cast<uint32_t>(op_.arg[slot]); }
  bool flag(int slot) const { return op_.arg[slot] != 0; }
  int fd(int slot) const { return op_.arg[slot] == kNoRegister ? -1 : registers[op_.arg[slot]]; }
  int set(int slot, int fd) const { return registers[op_.arg[slot]] = fd; }
  const char* text(int slot) const { return string(op_.arg[slot]); }

  uint32_t count(int slot) const { return word_at(op_.arg[slot]); }
  const char* text_at(int slot, uint32_t i) const { return string(item(slot, i)); }
  int fd_at(int slot, uint32_t i) const { return registers[item(slot, i)]; }
  const void* bytes(int slot) const { return data_ + op_.arg[slot] + 4; }
  uint32_t item(int slot, uint32_t i) const { return word_at(op_.arg[slot] + 4 + 4ull * i); }

 private:
  uint32_t word_at(uint64_t offset) const {
    uint32_t value;
    memcpy(&value, data_ + offset, sizeof value);
    return value;
  }
  const char* string(uint64_t offset) const { return reinterpret_cast<const char*>(data_ + offset); }

  const Op& op_;
  const uint8_t* data_;
};

}  // namespace runts
