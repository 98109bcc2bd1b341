#include "arena.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "fates.h"

// A section of its own at the address that scripts/tiny.ts names; zeros, where the file has nothing for it.
asm(".section .arena,\"aw\",@nobits\n"
    ".balign " TEXT(ARENA_PAGE_BYTES) "\n"
    ".hidden runts_arena\n"
    ".globl runts_arena\n"
    "runts_arena: .skip " TEXT(ARENA_BYTES) "\n"
    ".previous\n");
extern "C" char runts_arena[];

namespace runts {

namespace {

// Blocks are cut from stretches of the arena, and once that is full from one of addresses only: what is not touched there
// costs nothing.
constexpr size_t kStretchBytes = 4 * kPageBytes;
constexpr size_t kMoreBytes = size_t{1} << 30;
constexpr int kLargeClass = kSmallClasses + 4 * 4;  // from 8 KiB
constexpr size_t kBlockBytesMax = kMoreBytes / 2;

struct Block {
  size_t room;
};

struct Class {
  int number;
  size_t room;
};

Arena& arena() { return head()->arena; }

uint8_t* cell_size_at(const void* pointer) {
  auto offset = static_cast<size_t>(static_cast<const char*>(pointer) - runts_arena);
  return offset < ARENA_BYTES ? &arena().cell_size[offset / kPageBytes] : nullptr;
}

// The room of a block is 8 less than a multiple of 16, so that with the word before it all stay aligned.
Class class_of(size_t size) {
  size_t whole = size + sizeof(Block);
  if (whole <= kSmallBytesMax) {
    size_t steps = (whole + 15) / 16;
    return {static_cast<int>(steps) - 1, steps * 16 - sizeof(Block)};
  }
  int power = 63 - __builtin_clzl(whole - 1);  // 2^power < whole <= 2^(power + 1)
  size_t step = size_t{1} << (power - 2);
  size_t steps = (whole - (size_t{1} << power) + step - 1) / step;
  int number = kSmallClasses + (power - 9) * 4 + static_cast<int>(steps) - 1;
  return {number, (size_t{1} << power) + steps * step - sizeof(Block)};
}

// Of what is in a cell; 0 for a block.
size_t words_for(size_t size) { return size > kCellBytesMax ? 0 : size == 0 ? 1 : (size + 7) / 8; }

uintptr_t head_address() { return reinterpret_cast<uintptr_t>(runts_arena); }

Block* block_of(void* pointer) { return static_cast<Block*>(pointer) - 1; }

// From where nobody has been yet; null where the arena has no more.
char* take_top(size_t size) {
  size_t whole = (size + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (static_cast<size_t>(arena().end - arena().top) < whole) return nullptr;
  char* start = arena().top;
  arena().top += whole;
  return start;
}

// What a large block has left in the arena becomes pages: to load the core takes much for a while.
bool spare_block() {
  for (int number = kClasses - 1; number >= kLargeClass; number--) {
    Free* block = arena().blocks[number];
    if (block == nullptr || cell_size_at(block) == nullptr) continue;
    arena().blocks[number] = block->next;
    auto start = reinterpret_cast<uintptr_t>(block);
    arena().spare = runts_arena + (start - head_address() + kPageBytes - 1) / kPageBytes * kPageBytes;
    arena().spare_end = runts_arena + (start - head_address() + room_of(block)) / kPageBytes * kPageBytes;
    return true;
  }
  return false;
}

char* take_page() {
  if (arena().spare == arena().spare_end && !spare_block()) return take_top(kPageBytes);
  char* start = arena().spare;
  arena().spare += kPageBytes;
  return start;
}

void* take_cell(size_t words) {
  Free*& first = arena().cells[words - 1];
  if (first == nullptr) {
    char* page = take_page();
    if (page == nullptr) return nullptr;
    *cell_size_at(page) = static_cast<uint8_t>(words);
    size_t size = words * 8;
    for (char* cell = page + kPageBytes / size * size; cell > page;) {
      cell -= size;
      auto* each = reinterpret_cast<Free*>(cell);
      each->next = first;
      first = each;
    }
  }
  Free* found = first;
  first = found->next;
  return found;
}

// Where the next blocks are cut from: what follows the last ones, if that is free, or another place.
bool take_stretch(size_t size) {
  bool follows = arena().block_end == arena().top;
  size_t wanted = follows ? size - static_cast<size_t>(arena().block_end - arena().block_top) : size;
  if (wanted < kStretchBytes) wanted = kStretchBytes;
  char* start = take_top(wanted);
  if (start != nullptr) {
    if (!follows) arena().block_top = start + sizeof(Block);  // what follows a block's word is aligned to 16
    arena().block_end = arena().top;
    return true;
  }
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
  void* more = mmap(nullptr, kMoreBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  if (more == MAP_FAILED) return false;
  arena().block_top = static_cast<char*>(more) + sizeof(Block);
  arena().block_end = static_cast<char*>(more) + kMoreBytes;
  return true;
}

void* take_block(size_t size) {
  if (size > kBlockBytesMax) return nullptr;
  Class c = class_of(size);
  if (arena().blocks[c.number] != nullptr) {
    Free* found = arena().blocks[c.number];
    arena().blocks[c.number] = found->next;
    return found;
  }
  size_t whole = c.room + sizeof(Block);
  bool fits = static_cast<size_t>(arena().block_end - arena().block_top) >= whole;
  if (!fits && !take_stretch(whole + sizeof(Block))) return nullptr;
  auto* block = reinterpret_cast<Block*>(arena().block_top);
  arena().block_top += whole;
  block->room = c.room;
  return block + 1;
}

void* take(size_t size) {
  size_t words = words_for(size);
  void* cell = words == 0 ? nullptr : take_cell(words);
  return cell != nullptr ? cell : take_block(size);
}

// A block of as much room as it would have elsewhere: the two loads go the same way.
void* block_at(char* start, size_t room) {
  auto* block = reinterpret_cast<Block*>(start) + 1;
  block->room = room;
  return block + 1;
}

// At the end; its room is not told by a word before it, which would be no zero.
void* take_zeros(size_t room) {
  size_t whole = (room + kPageBytes - 1) / kPageBytes * kPageBytes;
  if (static_cast<size_t>(arena().end - arena().top) < whole) return nullptr;
  arena().end -= whole;
  arena().zeros = room;
  *cell_size_at(arena().end) = kZeros;
  return arena().end;
}

void* take_fated(size_t size) {
  if (!making->second()) {
    void* pointer = take(size);
    return pointer == nullptr ? nullptr : making->note(pointer);
  }
  Fate fate = making->next();
  if (fate == Fate::kept) return take(size);
  size_t words = words_for(size);
  size_t room = words != 0 ? words * 8 : class_of(size).room;
  if (fate == Fate::zeros) return take_zeros(room);
  char* aside = making->take_aside((room + 2 * sizeof(Block) + 15) / 16 * 16);
  return aside == nullptr ? nullptr : block_at(aside, room);
}

// The engine looks for cycles by how much is allocated.
void* allocate(JSMallocState* state, size_t size) {
  void* pointer = making == nullptr ? take(size) : take_fated(size);
  if (pointer != nullptr) state->malloc_size += room_of(pointer);
  return pointer;
}

void release(JSMallocState* state, void* pointer) {
  if (pointer == nullptr) return;
  state->malloc_size -= room_of(pointer);
  if (making != nullptr) {
    if (making->is_aside(pointer)) return making->drop_aside();
    if (!making->second()) making->note_gone(pointer);
  }
  const uint8_t* words = cell_size_at(pointer);
  if (words != nullptr && *words == kZeros) return;
  bool cell = words != nullptr && *words != 0;
  Free*& first = cell ? arena().cells[*words - 1] : arena().blocks[class_of(block_of(pointer)->room).number];
  auto* freed = static_cast<Free*>(pointer);
  freed->next = first;
  first = freed;
}

void* resize(JSMallocState* state, void* pointer, size_t size) {
  if (pointer == nullptr) return size == 0 ? nullptr : allocate(state, size);
  size_t room = room_of(pointer);
  if (size == 0) {
    release(state, pointer);
    return nullptr;
  }
  if (size <= room) return pointer;
  void* other = allocate(state, size);
  if (other == nullptr) return nullptr;
  memcpy(other, pointer, room);
  release(state, pointer);
  return other;
}

constexpr JSMallocFunctions kFunctions = {allocate, release, resize, room_of};

}  // namespace

Head* head() { return reinterpret_cast<Head*>(runts_arena); }

size_t room_of(const void* pointer) {
  if (pointer == nullptr) return 0;
  const uint8_t* words = cell_size_at(pointer);
  if (words != nullptr && *words == kZeros) return arena().zeros;
  if (words != nullptr && *words != 0) return *words * size_t{8};
  return block_of(const_cast<void*>(pointer))->room;
}

bool ends_in_zeros() {
  const char* at = arena().end;
  while (at < runts_arena + ARENA_BYTES && *at == 0) at++;
  return at == runts_arena + ARENA_BYTES;
}

const JSMallocFunctions* open_arena() {
  arena().top = runts_arena;
  arena().end = runts_arena + ARENA_BYTES;
  (void)take_top(sizeof(Head));  // it is at the beginning
  return &kFunctions;
}

}  // namespace runts
