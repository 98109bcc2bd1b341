// System calls, each under its name: a number, a string or bytes for each word, a result or -errno. What a call reads or
// writes by a pointer is a Uint8Array that lib/tiny lays out; those with pointers inside of what they point to have
// functions of their own.
#include <errno.h>
#include <time.h>

#include "value.h"

namespace runts {

namespace {

struct Call {
  const char* name;
  long number;
};

#define CALL(name) {#name, __NR_##name}
constexpr Call kCalls[] = {
    CALL(bind),          CALL(capget),       CALL(close),      CALL(connect),
    CALL(dup3),          CALL(faccessat),    CALL(fchmod),      CALL(fchmodat),
    CALL(fchown),        CALL(fchownat),     CALL(fcntl),       CALL(flock),
    CALL(fstatfs),  CALL(getcwd),       CALL(getdents64),  CALL(getegid),
    CALL(geteuid),       CALL(getpid),       CALL(getrandom),   CALL(inotify_add_watch),
    CALL(inotify_init1), CALL(ioctl),        CALL(kill),        CALL(linkat),
    CALL(listen),        CALL(memfd_create), CALL(mkdirat),     CALL(mount_setattr),
    CALL(open_tree),     CALL(openat),       CALL(openat2),     CALL(pidfd_open),
    CALL(pidfd_send_signal), CALL(pipe2),    CALL(ppoll),       CALL(pwrite64),
    CALL(read),          CALL(readlinkat),   CALL(renameat2),   CALL(rt_sigprocmask),
    CALL(setsockopt),    CALL(signalfd4),    CALL(socket),      CALL(socketpair),
    CALL(statx),         CALL(umask),        CALL(uname),       CALL(unlinkat),
    CALL(waitid),        CALL(write),
};
#undef CALL
constexpr int kWords = 6;

JSValue call(JSContext* js, JSValueConst, int count, JSValueConst* arguments, int magic) {
  long words[kWords] = {};
  if (count > kWords) return number(js, -EINVAL);
  // Whatever is a string here stays one until the call is over; without exceptions a list of six is that simple.
  Bytes bytes[kWords] = {
      {js, count > 0 ? arguments[0] : JS_UNDEFINED}, {js, count > 1 ? arguments[1] : JS_UNDEFINED},
      {js, count > 2 ? arguments[2] : JS_UNDEFINED}, {js, count > 3 ? arguments[3] : JS_UNDEFINED},
      {js, count > 4 ? arguments[4] : JS_UNDEFINED}, {js, count > 5 ? arguments[5] : JS_UNDEFINED},
  };
  for (int i = 0; i < count; i++) {
    if (bytes[i].has_nul()) return number(js, -EINVAL);
    words[i] = bytes[i].is_bytes() ? word(bytes[i].data()) : number_of(js, arguments[i]);
  }
  return number(js, raw(kCalls[magic].number, words[0], words[1], words[2], words[3], words[4], words[5]));
}

// text(bytes, length) -> string: what is not UTF-8 is replaced.
JSValue text(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes bytes(js, arguments[0]);
  size_t length = static_cast<size_t>(number_of(js, arguments[1]));
  return JS_NewStringLen(js, reinterpret_cast<const char*>(bytes.data()), length < bytes.size() ? length : bytes.size());
}

// utf8(text) -> ArrayBuffer
JSValue utf8(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes bytes(js, arguments[0]);
  return JS_NewArrayBufferCopy(js, bytes.data(), bytes.size());
}

// isUtf8(bytes) -> boolean: whether every character is as it was meant; halves of surrogate pairs are none.
JSValue is_utf8(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes bytes(js, arguments[0]);
  const uint8_t* at = bytes.data();
  const uint8_t* end = at + bytes.size();
  while (at < end) {
    unsigned first = *at++;
    if (first < 0x80) continue;
    int more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    if (more == 0 || end - at < more) return JS_FALSE;
    // What would be shorter, half of a pair, or beyond the last character.
    if ((first == 0xe0 && *at < 0xa0) || (first == 0xed && *at >= 0xa0)) return JS_FALSE;
    if ((first == 0xf0 && *at < 0x90) || (first == 0xf4 && *at >= 0x90)) return JS_FALSE;
    for (; more > 0; more--) {
      if ((*at++ & 0xc0) != 0x80) return JS_FALSE;
    }
  }
  return JS_TRUE;
}

// now() -> number: milliseconds that no change of the clock moves. By the C library, which need not enter the kernel.
JSValue now(JSContext* js, JSValueConst, int, JSValueConst*) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return JS_NewFloat64(js, static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6);
}

// jobs(): what promises have left to do.
JSValue jobs(JSContext* js, JSValueConst, int, JSValueConst*) {
  JSContext* which;
  int r = 1;
  while (r > 0) r = JS_ExecutePendingJob(JS_GetRuntime(js), &which);
  return r < 0 ? JS_EXCEPTION : JS_UNDEFINED;
}

}  // namespace

void define_system(JSContext* js, JSValueConst object) {
  JSValue calls = JS_NewObject(js);
  int magic = 0;
  for (const Call& each : kCalls) {
    JSValue function = JS_NewCFunctionMagic(js, call, each.name, kWords, JS_CFUNC_generic_magic, magic++);
    JS_SetPropertyStr(js, calls, each.name, function);
  }
  JS_SetPropertyStr(js, object, "call", calls);
  define(js, object, "text", text, 2);
  define(js, object, "utf8", utf8, 1);
  define(js, object, "isUtf8", is_utf8, 1);
  define(js, object, "now", now, 0);
  define(js, object, "jobs", jobs, 0);
}

}  // namespace runts
