// System calls without a libc, the same in the init and in the addon: a call returns its result or -errno.
#pragma once
#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

namespace runts {

#if defined(RUNTS_OTHER_KERNEL)
// Whoever is linked in answers: the kernel of native/fuzz/kernel.cc.
long raw(long n, long a, long b, long c, long d, long e, long f);
#elif defined(__x86_64__)
inline long raw(long n, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline long raw(long n, long a, long b, long c, long d, long e, long f) {
  register long x8 asm("x8") = n;
  register long x0 asm("x0") = a;
  register long x1 asm("x1") = b;
  register long x2 asm("x2") = c;
  register long x3 asm("x3") = d;
  register long x4 asm("x4") = e;
  register long x5 asm("x5") = f;
  asm volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
  return x0;
}
#else
#error "runts runs on x86-64 and arm64"
#endif

template <class T>
inline long word(T* pointer) { return reinterpret_cast<long>(pointer); }
inline long word(decltype(nullptr)) { return 0; }
template <class T>
inline long word(T value) { return static_cast<long>(value); }

// sys(__NR_openat2, root, path, &how, sizeof how)
template <class... Args>
inline long sys(long number, Args... args) {
  static_assert(sizeof...(args) <= 6, "six arguments at most");
  long a[7] = {word(args)..., 0};
  for (size_t i = sizeof...(args); i < 6; i++) a[i] = 0;
  return raw(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

}  // namespace runts
