// Memory of the engine: one stretch of addresses, the same in every process, taken from the bottom up. What an engine
// that has loaded the core left in it is part of the file (snapshot.h): the kernel maps it with the program.
#pragma once
#include "quickjs.h"

#define ARENA_BYTES 0x800000
#ifdef __aarch64__
#define ARENA_PAGE_BYTES 65536  // the largest that its kernels have
#else
#define ARENA_PAGE_BYTES 4096
#endif
// For assembler.
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

namespace runts {

struct Free {
  Free* next;
};

// Most of what the engine has is small: cells of one size share a page, whose number says the size, and have nothing but
// what they are for. Sizes are multiples of 8 bytes.
constexpr size_t kPageBytes = 1024;
constexpr size_t kPages = ARENA_BYTES / kPageBytes;
constexpr size_t kCellBytesMax = 256;
constexpr int kCellSizes = kCellBytesMax / 8;

// What is larger, and whatever does not find place in the arena any more, is a block, with its room in the word before it.
// Blocks of one class are interchangeable: multiples of 16 bytes up to kSmallBytesMax, then four steps to each power of two.
constexpr size_t kSmallBytesMax = 512;
constexpr int kSmallClasses = kSmallBytesMax / 16;
constexpr int kClasses = kSmallClasses + 4 * 22;

constexpr uint8_t kZeros = 255;

struct Arena {
  char* top;  // of the pages
  char* end;  // behind it are zeros that the file does not have, as one block
  size_t zeros;  // its room
  char* spare;  // pages below it that nobody has
  char* spare_end;
  char* block_top;
  char* block_end;
  Free* cells[kCellSizes];
  Free* blocks[kClasses];
  uint8_t cell_size[kPages];  // of a page of cells, in words; kZeros; else 0
};

// What main.cc needs of the memory. It stands at the beginning of the arena.
struct Head {
  JSContext* js;
  JSValue native;
  JSValue entry;
  Arena arena;
};

Head* head();

// What the file does not have is zeros still.
bool ends_in_zeros();

// How much a pointer of the engine may use.
size_t room_of(const void* pointer);

// What JS_NewRuntime2 takes, of an arena in which there is nothing yet.
const JSMallocFunctions* open_arena();

}  // namespace runts
