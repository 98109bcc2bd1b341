// What a container's first instruction can tell: writes the time of CLOCK_MONOTONIC, in nanoseconds. Without a libc, whose
// start would be measured as well.
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>

static long call(long number, long one, long two, long three) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(one), "S"(two), "d"(three)
                   : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number;
  register long x0 __asm__("x0") = one;
  register long x1 __asm__("x1") = two;
  register long x2 __asm__("x2") = three;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#else
#error "x86_64 or aarch64"
#endif
}

void _start(void) {
  struct timespec now;
  call(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&now, 0);
  uint64_t rest = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
  char digits[20];
  char *at = digits + sizeof digits;
  do {
    *--at = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest);
  call(SYS_write, 1, (long)at, digits + sizeof digits - at);
  call(SYS_exit_group, 0, 0, 0);
  __builtin_unreachable();
}
