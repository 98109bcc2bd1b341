// Enough of a libc for the init: what the compiler itself calls, and the entry point.
#include "bare.h"

#include <linux/elf.h>

#include "../ops/sys.h"

extern "C" {

void* memcpy(void* to, const void* from, size_t size) {
  auto* d = static_cast<unsigned char*>(to);
  auto* s = static_cast<const unsigned char*>(from);
  for (size_t i = 0; i < size; i++) d[i] = s[i];
  return to;
}

void* memset(void* to, int byte, size_t size) {
  auto* d = static_cast<unsigned char*>(to);
  for (size_t i = 0; i < size; i++) d[i] = static_cast<unsigned char>(byte);
  return to;
}

size_t strlen(const char* text) {
  size_t n = 0;
  while (text[n]) n++;
  return n;
}

char* strchr(const char* text, int character) {
  for (;; text++) {
    if (*text == static_cast<char>(character)) return const_cast<char*>(text);
    if (!*text) return nullptr;
  }
}

// What compilers call where a buffer's end is known (_FORTIFY_SOURCE), and where a stack was written over.
void* __memcpy_chk(void* to, const void* from, size_t size, size_t room) {
  if (size > room) __builtin_trap();
  return memcpy(to, from, size);
}

void* __memset_chk(void* to, int byte, size_t size, size_t room) {
  if (size > room) __builtin_trap();
  return memset(to, byte, size);
}

__attribute__((used)) uintptr_t __stack_chk_guard;

[[noreturn]] void __stack_chk_fail() { __builtin_trap(); }

// The stack is 16-aligned here: argc, the arguments, a null, the environment, a null, and what the kernel adds (getauxval(3)).
#if defined(__x86_64__)
asm(".globl _start\n_start:\n  xor %ebp, %ebp\n  mov %rsp, %rdi\n  call begin\n  hlt\n");
#else
asm(".globl _start\n_start:\n  mov x29, #0\n  mov x0, sp\n"
    "  adrp x1, __stack_chk_guard\n  add x1, x1, :lo12:__stack_chk_guard\n  msr tpidr_el0, x1\n"
    "  bl begin\n  brk #0\n");
#endif

// Where the linker has put them; hidden, so that they are found without what they are for.
extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));
extern const Elf64_Dyn _DYNAMIC[] __attribute__((visibility("hidden")));

// We are loaded wherever the kernel likes (static PIE). What holds an address is told so before anybody reads it.
static void relocate() {
  auto base = reinterpret_cast<uintptr_t>(&__ehdr_start);
  uintptr_t table = 0, size = 0;
  for (const Elf64_Dyn* d = _DYNAMIC; d->d_tag; d++) {
    if (d->d_tag == DT_RELA) table = d->d_un.d_ptr;
    if (d->d_tag == DT_RELASZ) size = d->d_un.d_val;
  }
  auto* entries = reinterpret_cast<const Elf64_Rela*>(base + table);
  for (size_t i = 0; i < size / sizeof *entries; i++) {
    *reinterpret_cast<uintptr_t*>(base + entries[i].r_offset) = base + static_cast<uintptr_t>(entries[i].r_addend);
  }
}

// Does not come back, so it may change the canary. Its first byte is a zero: no text that runs over holds it.
[[noreturn]] __attribute__((used)) void begin(const uintptr_t* stack) {
  constexpr uintptr_t kRandom = 25;  // AT_RANDOM: the address of 16 bytes
  relocate();
  const uintptr_t* word = stack + 1 + *stack + 1;
  while (*word) word++;
  for (word++; word[0]; word += 2) {
    if (word[0] != kRandom) continue;
    memcpy(&__stack_chk_guard, reinterpret_cast<const void*>(word[1]), sizeof __stack_chk_guard);  // any alignment
    __stack_chk_guard &= ~uintptr_t{0xff};
  }
  init_main();
}
}

namespace runts {

void leave(int code) {
  (void)sys(__NR_exit_group, code);
  for (;;) __builtin_trap();  // a filter denies even this: then by the signal of an illegal instruction
}

}  // namespace runts
