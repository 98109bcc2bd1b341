#include "snapshot.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fates.h"
#include "packed.h"
#include "value.h"

extern "C" const ElfW(Ehdr) __ehdr_start;

namespace runts {

namespace {

// Cycles are looked for once this much was allocated: most calls end before, and to look touches every object.
constexpr size_t kGarbageBytes = 8 << 20;
// The engine's own stack, with room for what we call below it.
constexpr size_t kStackBytes = 512 << 10;

JSContext* open_engine() {
  JSRuntime* runtime = JS_NewRuntime2(open_arena(), nullptr);
  if (runtime == nullptr) return nullptr;
  JS_SetGCThreshold(runtime, kGarbageBytes);
  JS_SetMaxStackSize(runtime, kStackBytes);
  JSContext* js = JS_NewContextRaw(runtime);
  if (js == nullptr) return nullptr;
  JS_AddIntrinsicBaseObjects(js);
  JS_AddIntrinsicDate(js);
  JS_AddIntrinsicRegExp(js);
  JS_AddIntrinsicJSON(js);
  JS_AddIntrinsicProxy(js);
  JS_AddIntrinsicMapSet(js);
  JS_AddIntrinsicTypedArrays(js);
  JS_AddIntrinsicPromise(js);
  JS_AddIntrinsicBigInt(js);
  return js;
}

// Its seed would be the same in every process. Whoever needs random numbers asks the kernel.
void remove_random(JSContext* js, JSValueConst global) {
  JSValue math = JS_GetPropertyStr(js, global, "Math");
  JSAtom random = JS_NewAtom(js, "random");
  JS_DeleteProperty(js, math, random, 0);
  JS_FreeAtom(js, random);
  JS_FreeValue(js, math);
}

bool load(JSContext* js, const uint8_t* code, size_t size) {
  JSValue global = JS_GetGlobalObject(js);
  remove_random(js, global);
  JSValue native = JS_NewObject(js);
  define_system(js, native);
  define_messages(js, native);
  define_processes(js, native);
  define_json(js, native);
#ifdef __aarch64__
  JS_SetPropertyStr(js, native, "arch", JS_NewString(js, "arm64"));
#else
  JS_SetPropertyStr(js, native, "arch", JS_NewString(js, "x64"));
#endif
  JS_SetPropertyStr(js, global, "runtsSystem", JS_DupValue(js, native));
  JSValue module = JS_ReadObject(js, code, size, JS_READ_OBJ_BYTECODE);
  if (JS_IsException(module) || JS_IsException(JS_EvalFunction(js, module))) return false;
  JSValue prepare = JS_GetPropertyStr(js, global, "runtsPrepare");
  if (JS_IsException(JS_Call(js, prepare, JS_UNDEFINED, 0, nullptr))) return false;
  JS_FreeValue(js, prepare);
  head()->js = js;
  head()->native = native;
  // The value of the bundle is lib/tiny/main.ts's function.
  head()->entry = JS_GetPropertyStr(js, global, "runts");
  JS_FreeValue(js, global);
  JS_RunGC(JS_GetRuntime(js));
  return true;
}

// Where our stack is, is different in each process: the image has no address of it, and is the same whenever it is made.
// The engine notes the top of it, and notes it anew when it starts (JS_UpdateStackTop).
void forget_stack() {
  auto here = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
  for (auto* word = reinterpret_cast<uintptr_t*>(head()); reinterpret_cast<char*>(word) < head()->arena.top; word++) {
    if (*word > here - (8 << 20) && *word < here + (8 << 20)) *word = 0;
  }
}

bool write_image(const char* to, const uint8_t* build) {
  auto* from = reinterpret_cast<const char*>(head());
  FILE* file = fopen(to, "wb");
  if (file == nullptr) return false;
  bool written = write_packed(file, build, from, static_cast<size_t>(head()->arena.top - from));
  return fclose(file) == 0 && written;
}

// In a child, so that the second load begins as the first one did.
bool load_for_fates(const uint8_t* code, size_t size) {
  int status = 0;
  pid_t child = fork();
  if (child == 0) {
    JSContext* js = open_engine();
    if (js == nullptr || !load(js, code, size)) _exit(js == nullptr ? kOwnFailure : broken(js));
    making->note_zeros();
    _exit(0);
  }
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

// What the linker says of what it has linked, in a note.
const uint8_t* build_of_program() {
  auto* start = reinterpret_cast<const char*>(&__ehdr_start);
  auto* headers = reinterpret_cast<const ElfW(Phdr)*>(start + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; i++) {
    if (headers[i].p_type != PT_NOTE) continue;
    auto* note = reinterpret_cast<const char*>(headers[i].p_vaddr);
    for (auto* end = note + headers[i].p_memsz; note < end;) {
      auto* each = reinterpret_cast<const ElfW(Nhdr)*>(note);
      const char* name = note + sizeof *each;
      const char* content = name + (each->n_namesz + 3U) / 4 * 4;
      if (each->n_type == NT_GNU_BUILD_ID && each->n_descsz == kBuildBytes) {
        return reinterpret_cast<const uint8_t*>(content);
      }
      note = content + (each->n_descsz + 3U) / 4 * 4;
    }
  }
  return nullptr;
}

}  // namespace

int make_snapshot(const char* code, const char* to) {
  int fd = open(code, O_RDONLY | O_CLOEXEC);
  struct stat found;
  if (fd < 0 || fstat(fd, &found) < 0) return perror(code), kOwnFailure;
  auto size = static_cast<size_t>(found.st_size);
  void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  const uint8_t* build = build_of_program();
  auto* content = static_cast<const uint8_t*>(bytes);
  static Fates fates;
  if (bytes == MAP_FAILED || build == nullptr || !fates.open()) return fputs("runts: no memory\n", stderr), kOwnFailure;
  making = &fates;
  if (!load_for_fates(content, size)) return fputs("runts: the core cannot be loaded\n", stderr), kOwnFailure;
  fates.begin_second();
  JSContext* js = open_engine();
  if (js == nullptr) return fputs("runts: the engine cannot be started\n", stderr), kOwnFailure;
  if (!load(js, content, size)) return broken(js);
  if (!fates.agrees() || !ends_in_zeros()) return fputs("runts: two loads are not the same\n", stderr), kOwnFailure;
  forget_stack();
  return write_image(to, build) ? 0 : (perror(to), kOwnFailure);
}

JSContext* open_snapshot() {
  const uint8_t* build = build_of_program();
  if (build == nullptr || memcmp(build, packed().build, kBuildBytes) != 0) {
    fputs("runts: the memory in this file was made for another program; it was built wrongly, or changed\n", stderr);
    return nullptr;
  }
  if (!unpack(reinterpret_cast<char*>(head()))) return nullptr;
  JS_UpdateStackTop(JS_GetRuntime(head()->js));
  return head()->js;
}

int broken(JSContext* js) {
  JSValue error = JS_GetException(js);
  const char* text = JS_ToCString(js, error);
  JSValue stack = JS_GetPropertyStr(js, error, "stack");
  const char* where = JS_ToCString(js, stack);
  fprintf(stderr, "runts: internal error: %s\n%s", text ? text : "", where ? where : "");
  return kOwnFailure;
}

}  // namespace runts

// The engine seeds itself by the clock when it is made: the same, so that its image is.
extern "C" int __real_gettimeofday(struct timeval* time, void* zone);
extern "C" int __wrap_gettimeofday(struct timeval* time, void* zone) {
  if (runts::is_whole()) return __real_gettimeofday(time, zone);
  *time = {};
  return 0;
}
