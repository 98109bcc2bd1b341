// The image of the arena as the file has it: most of it is zeros, and numbers that are smaller than their place. Everything
// is unpacked at once when the program starts, which takes a third of what it takes the kernel to copy page by page what is
// then written to.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

namespace runts {

constexpr size_t kBuildBytes = 20;
constexpr uint64_t kWhole = 0x31706165'4873746eULL;

// What the file has begins with this.
struct Packed {
  uint64_t whole;              // kWhole once everything is there
  uint8_t build[kBuildBytes];  // of which program: its memory has addresses of it
  uint32_t rows;
};
const Packed& packed();
inline bool is_whole() { return packed().whole == kWhole; }

// Of memory whose size is a multiple of 16.
bool write_packed(FILE* file, const uint8_t* build, const char* from, size_t size);

// To memory that is all zeros; false, with the reason printed, where it cannot be done.
bool unpack(char* to);

}  // namespace runts
