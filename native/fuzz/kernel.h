// A kernel for fuzzers: every answer that a system call gives is read from the input. It keeps the kernel's side of the
// contract (sizes, descriptors, what ends in a NUL), looks at every byte that it is given, so that ASan does, and holds us
// to our own rules: what a name below a directory may be, how a path is resolved, what is closed at an exec.
#pragma once
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

namespace runts {

namespace kernel {

// Where a process goes that ends: by an exit, an exec, or because the input is at its end.
extern jmp_buf ended;

// A new process whose channel is descriptor 3, and `answers` for its calls.
// Room for a path, and for one that is too long.
constexpr size_t kPathRoom = 4200;

void begin(const uint8_t* answers, size_t size);

// Runs a function as that process. False when it did not come back.
template <class Body>
bool lives(Body body) {
  if (setjmp(ended)) return false;
  body();
  return true;
}

// The next of the answers; 0 at their end. `take` says how many there were.
uint8_t byte();
uint32_t word();
size_t take(void* to, size_t size);

// Opens a descriptor, which the program is given.
int give();

// Fails where a descriptor is open that is neither given nor in this list: it has been lost.
void expect_open_only(const int* kept, size_t count);

// Fails where what a failure is told with does not live as long as the failure.
void expect_text(const char* detail);

// What read(2) gives, once; null: what the answers say.
extern const uint8_t* file;
extern size_t file_size;

// Directories are those of /proc and of cgroups, which nobody else makes entries in.
extern bool in_proc;

}  // namespace kernel

// Prints a sentence and ends the fuzzer with a crash.
[[noreturn]] void broken(const char* rule);

}  // namespace runts
