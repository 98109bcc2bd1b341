// How the snapshot has no holes. What is loaded leaves much behind that was needed for a while only, between what stays. So it is
// loaded twice, in the same way: the first time it is noted what becomes of each allocation, by its number, and the second
// time what does not stay has its memory elsewhere.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace runts {

enum class Fate : uint8_t { gone, kept, zeros };

class Fates {
 public:
  // Before the first load; the notes are shared with a child.
  bool open();
  void begin_second() { second_ = true, count_ = 0; }
  bool second() const { return second_; }

  // Of the next allocation, in the second load.
  Fate next() { return count_ < kCountMax ? fates_[count_++] : Fate::kept; }
  // In the first: null where there are more than can be noted.
  void* note(void* pointer);
  void note_gone(const void* pointer);
  // The largest that has nothing but zeros needs no place in the file.
  void note_zeros();

  // Memory that is not in the arena, at the same place each time; it is not used again.
  char* take_aside(size_t size);
  bool is_aside(const void* pointer) const;
  void drop_aside() { aside_--; }
  // In the second load, once it has ended: everything has gone where it was said to go.
  bool agrees() const { return aside_ == 0; }

 private:
  static constexpr uint32_t kCountMax = 1 << 24;

  Fate* fates_ = nullptr;
  uint32_t* numbers_ = nullptr;  // by place in the arena; 1 is the first
  char* aside_top_ = nullptr;
  uint32_t count_ = 0;
  long aside_ = 0;
  bool second_ = false;
};

// While a snapshot is made; else null.
extern Fates* making;

}  // namespace runts
