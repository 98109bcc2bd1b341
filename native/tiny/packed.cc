#include "packed.h"

#include <string.h>
#include <sys/mman.h>

#include "arena.h"

#ifdef __aarch64__
#include <arm_neon.h>
#define WITH_SHUFFLE
#else
#include <cpuid.h>
#include <tmmintrin.h>
#define WITH_SHUFFLE __attribute__((target("ssse3")))
#endif

// Nothing while the program is linked: scripts/tiny-image.ts puts it there.
asm(".section .packed,\"a\",@nobits\n"
    ".balign " TEXT(ARENA_PAGE_BYTES) "\n"
    ".hidden runts_packed\n"
    ".globl runts_packed\n"
    "runts_packed: .skip " TEXT(ARENA_PAGE_BYTES) "\n"
    ".previous\n");
extern "C" const uint8_t runts_packed[];

namespace runts {

namespace {

// Rows of four numbers of 32 bits: of each row a byte says how many bytes the file has of each, and these stand behind all of
// the first.
constexpr size_t kRowBytes = 16;
constexpr size_t kLengths[] = {0, 1, 2, 4};

// From which byte behind the one that was read last each of a row comes; a zero where the number has its highest bit.
struct Rows {
  alignas(kRowBytes) uint8_t from[256][kRowBytes];
  uint8_t length[256];

  constexpr Rows() : from(), length() {
    for (size_t kinds = 0; kinds < 256; kinds++) {
      uint8_t at = 0;
      for (size_t i = 0; i < kRowBytes; i++) {
        bool stored = i % 4 < kLengths[kinds >> (2 * (i / 4)) & 3];
        from[kinds][i] = stored ? at++ : 0x80;
      }
      length[kinds] = at;
    }
  }
};
constexpr Rows kRows;

WITH_SHUFFLE void unpack_row(char* to, const uint8_t* values, size_t kinds) {
#ifdef __aarch64__
  vst1q_u8(reinterpret_cast<uint8_t*>(to), vqtbl1q_u8(vld1q_u8(values), vld1q_u8(kRows.from[kinds])));
#else
  auto* from = reinterpret_cast<const __m128i*>(kRows.from[kinds]);
  __m128i row = _mm_loadu_si128(reinterpret_cast<const __m128i*>(values));
  _mm_store_si128(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi8(row, _mm_load_si128(from)));
#endif
}

// Gives where the values of the next row are.
WITH_SHUFFLE const uint8_t* unpack_rows(char* to, const uint8_t* kinds, size_t count, const uint8_t* values) {
  for (size_t i = 0; i < count; i++) {
    unpack_row(to + i * kRowBytes, values, kinds[i]);
    values += kRows.length[kinds[i]];
  }
  return values;
}

bool can_shuffle() {
#ifdef __aarch64__
  return true;
#else
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSSE3) != 0;
#endif
}

// Packed and unpacked memory are not to be there both: what was read goes, by whole pages. Gives what is left.
const uint8_t* let_go(const uint8_t* from, const uint8_t* to) {
  if (to <= from) return from;
  size_t size = static_cast<size_t>(to - from) / ARENA_PAGE_BYTES * ARENA_PAGE_BYTES;
  (void)munmap(const_cast<uint8_t*>(from), size);
  return from + size;
}

}  // namespace

const Packed& packed() { return *reinterpret_cast<const Packed*>(runts_packed); }

bool write_packed(FILE* file, const uint8_t* build, const char* from, size_t size) {
  Packed header = {kWhole, {}, static_cast<uint32_t>(size / kRowBytes)};
  memcpy(header.build, build, kBuildBytes);
  bool written = fwrite(&header, sizeof header, 1, file) == 1;
  auto number_at = [from](size_t index) {
    uint32_t number = 0;
    memcpy(&number, from + index * 4, sizeof number);
    return number;
  };
  auto kind_of = [](uint32_t number) { return number == 0 ? 0 : number < 1 << 8 ? 1 : number < 1 << 16 ? 2 : 3; };
  for (size_t row = 0; row < header.rows; row++) {
    int kinds = 0;
    for (int i = 0; i < 4; i++) kinds |= kind_of(number_at(row * 4 + static_cast<size_t>(i))) << (2 * i);
    written = written && fputc(kinds, file) != EOF;
  }
  for (size_t i = 0; i < size / 4; i++) {
    uint32_t number = number_at(i);
    size_t length = kLengths[kind_of(number)];
    written = written && fwrite(&number, 1, length, file) == length;
  }
  constexpr char kBehind[kRowBytes] = {};  // a row is read with as many bytes as the longest has
  return written && fwrite(kBehind, sizeof kBehind, 1, file) == 1;
}

bool unpack(char* to) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, since Linux 5.14
  constexpr size_t kHugePage = size_t{2} << 20;
  constexpr size_t kStretch = 16384;
  const Packed& header = packed();
  if (!can_shuffle()) return fputs("runts: this processor is too old: it has no SSSE3\n", stderr), false;
  // One page is asked for and zeroed in a third of the time of five hundred; what is behind it is not to take another.
  (void)madvise(to, kHugePage, MADV_HUGEPAGE);
  (void)madvise(to, size_t{header.rows} * kRowBytes, kPopulateWrite);
  const uint8_t* kinds = runts_packed + sizeof header;
  const uint8_t* values = kinds + header.rows;
  size_t pages_before = (sizeof header + header.rows + ARENA_PAGE_BYTES - 1) / ARENA_PAGE_BYTES;
  const uint8_t* left = runts_packed + pages_before * ARENA_PAGE_BYTES;
  for (size_t row = 0; row < header.rows; row += kStretch) {
    size_t count = header.rows - row < kStretch ? header.rows - row : kStretch;
    values = unpack_rows(to + row * kRowBytes, kinds + row, count, values);
    left = let_go(left, values);
  }
  return true;
}

}  // namespace runts
