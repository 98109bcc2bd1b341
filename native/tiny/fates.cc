#include "fates.h"

#include <sys/mman.h>

#include "arena.h"

namespace runts {

namespace {

constexpr uintptr_t kAside = 0x2'0000'0000;
constexpr size_t kAsideBytes = size_t{1} << 30;
constexpr size_t kPlaces = ARENA_BYTES / 8;

template <typename Element>
Element* notes(size_t count, int how) {
  constexpr int kProtection = PROT_READ | PROT_WRITE;
  void* found = mmap(nullptr, count * sizeof(Element), kProtection, how | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return found == MAP_FAILED ? nullptr : static_cast<Element*>(found);
}

char* start() { return reinterpret_cast<char*>(head()); }

size_t place_of(const void* pointer) { return static_cast<size_t>(static_cast<const char*>(pointer) - start()) / 8; }

}  // namespace

Fates* making = nullptr;

bool Fates::open() {
  fates_ = notes<Fate>(kCountMax, MAP_SHARED);
  numbers_ = notes<uint32_t>(kPlaces, MAP_PRIVATE);
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* aside = mmap(reinterpret_cast<void*>(kAside), kAsideBytes, PROT_READ | PROT_WRITE, kFlags, -1, 0);
  aside_top_ = static_cast<char*>(aside);
  return fates_ != nullptr && numbers_ != nullptr && aside == reinterpret_cast<void*>(kAside);
}

void* Fates::note(void* pointer) {
  if (count_ == kCountMax || place_of(pointer) >= kPlaces) return nullptr;
  fates_[count_++] = Fate::kept;
  numbers_[place_of(pointer)] = count_;
  return pointer;
}

void Fates::note_gone(const void* pointer) {
  uint32_t& number = numbers_[place_of(pointer)];
  fates_[number - 1] = Fate::gone;
  number = 0;
}

void Fates::note_zeros() {
  size_t most = 0;
  uint32_t found = 0;
  for (size_t place = 0; place < kPlaces; place++) {
    if (numbers_[place] == 0) continue;
    const char* bytes = start() + place * 8;
    size_t room = room_of(bytes), length = 0;
    while (length < room && bytes[length] == 0) length++;
    if (length < room || room <= most) continue;
    most = room;
    found = numbers_[place];
  }
  if (found != 0) fates_[found - 1] = Fate::zeros;
}

char* Fates::take_aside(size_t size) {
  auto* whole = reinterpret_cast<char*>(kAside);
  if (static_cast<size_t>(whole + kAsideBytes - aside_top_) < size) return nullptr;
  char* taken = aside_top_;
  aside_top_ += size;
  aside_++;
  return taken;
}

bool Fates::is_aside(const void* pointer) const {
  auto address = reinterpret_cast<uintptr_t>(pointer);
  return address >= kAside && address < kAside + kAsideBytes;
}

}  // namespace runts
