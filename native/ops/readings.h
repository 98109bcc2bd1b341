// What the files of a system view are read from and written with: files of the kernel's, as text.
#pragma once
#include <linux/fcntl.h>
#include <string.h>

#include "view.h"

namespace runts {

constexpr uint64_t kNoLimit = ~uint64_t{0};
constexpr int kLevelsMax = 16;  // of cgroups above one another

// The container's cgroup and those above it that can limit it.
inline int limiting_levels;

struct Text {
  char* to;
  size_t size;

  void bytes(const char* from, size_t count) {
    if (count > kViewBytesMax - size) count = kViewBytesMax - size;
    memcpy(to + size, from, count);
    size += count;
  }
  void add(const char* text) { bytes(text, strlen(text)); }
  void number(uint64_t value, size_t width = 1, char fill = ' ') {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while (value /= 10);
    while (at > sizeof digits - width) digits[--at] = fill;
    bytes(digits + at, sizeof digits - at);
  }
  void column(uint64_t value) {
    add(" ");
    number(value);
  }
  // Hundredths, with a point.
  void fraction(uint64_t value) {
    number(value / 100);
    add(".");
    number(value % 100, 2, '0');
  }
};

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Reads a file whole, as far as there is room, and ends it with a NUL. False, and nothing in it: there is none.
inline bool slurp(int dir, const char* path, char* to, size_t room) {
  *to = 0;
  Fd file(dir < 0 ? -1 : static_cast<int>(sys(__NR_openat, dir, path, O_RDONLY | O_CLOEXEC)));
  size_t size = 0;
  long n = file.ok() ? 1 : -1;
  while (n > 0 && size < room - 1) {
    n = sys(__NR_read, file.get(), to + size, room - 1 - size);
    if (n > 0) size += static_cast<size_t>(n);
  }
  to[size] = 0;
  return file.ok();
}

// The number that a text goes on with, after blanks; whatever is not one is 0.
inline uint64_t number_at(const char*& text) {
  while (*text == ' ' || *text == '\t') text++;
  uint64_t value = 0;
  for (; is_digit(*text); text++) {
    auto digit = static_cast<uint64_t>(*text - '0');
    value = value > (kNoLimit - digit) / 10 ? kNoLimit : value * 10 + digit;
  }
  return value;
}

inline const char* next_line(const char* text) {
  const char* end = strchr(text, '\n');
  return end ? end + 1 : text + strlen(text);
}

// Where a text goes on after these words; null when it does not begin with them.
inline const char* past(const char* text, const char* words) {
  for (; *words; words++, text++) {
    if (*text != *words) return nullptr;
  }
  return text;
}

// What follows these words at the beginning of a line; null when none begins so.
inline const char* line_of(const char* text, const char* words) {
  for (; *text; text = next_line(text)) {
    if (const char* rest = past(text, words)) return rest;
  }
  return nullptr;
}

inline uint64_t number_in(const char* text, const char* words) {
  const char* rest = line_of(text, words);
  return rest ? number_at(rest) : 0;
}

// A file of a cgroup above the container's; 0 is its own.
inline bool slurp_above(int cgroup, int level, const char* name, char* to, size_t room) {
  char path[3 * kLevelsMax + 32];
  size_t size = 0;
  for (int i = 0; i < level; i++, size += 3) memcpy(path + size, "../", 3);
  memcpy(path + size, name, strlen(name) + 1);
  return slurp(cgroup, path, to, room);
}

// The lowest of the limits of a cgroup and those above it.
inline uint64_t lowest(int cgroup, const char* name, uint64_t most) {
  char text[64];
  for (int level = 0; level < limiting_levels; level++) {
    if (!slurp_above(cgroup, level, name, text, sizeof text) || !is_digit(*text)) continue;
    const char* at = text;
    uint64_t limit = number_at(at);
    if (limit < most) most = limit;
  }
  return most;
}

inline uint64_t lower(uint64_t a, uint64_t b) { return a < b ? a : b; }
inline uint64_t less(uint64_t whole, uint64_t part) { return whole > part ? whole - part : 0; }

}  // namespace runts
