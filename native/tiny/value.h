// Values of the engine, for the functions that lib/tiny calls. They trust their arguments, as those of the addon do: only
// lib/tiny/native.ts calls them.
#pragma once
#include "../ops/result.h"
#include "quickjs.h"

namespace runts {

// A string, or the bytes of a Uint8Array, for as long as this lives.
class Bytes {
 public:
  Bytes(JSContext* js, JSValueConst value);
  ~Bytes();
  Bytes(const Bytes&) = delete;
  bool is_bytes() const { return data_ != nullptr; }
  // A string with a NUL inside would be another one to the kernel.
  bool has_nul() const;
  const uint8_t* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  JSContext* js_;
  const uint8_t* data_ = nullptr;
  const char* text_ = nullptr;
  size_t size_ = 0;
};

// A list of strings as execve wants it; its end is a null pointer.
class Strings {
 public:
  Strings(JSContext* js, JSValueConst list);
  ~Strings();
  Strings(const Strings&) = delete;
  char* const* get() const { return const_cast<char* const*>(strings_); }

 private:
  JSContext* js_;
  const char** strings_ = nullptr;
  uint32_t count_ = 0;
};

inline int64_t number_of(JSContext* js, JSValueConst value) {
  int64_t number = 0;
  (void)JS_ToInt64(js, &number, value);  // of what is no number it is 0
  return number;
}
inline JSValue number(JSContext* js, long value) { return JS_NewInt64(js, value); }

// How many elements a list has.
uint32_t length_of(JSContext* js, JSValueConst list);
int descriptor_at(JSContext* js, JSValueConst list, uint32_t index);

// A `Failure` of lib/node/native.ts.
JSValue failure(JSContext* js, const Where& at, int error);

void define(JSContext* js, JSValueConst object, const char* name, JSCFunction* function, int parameters);

void define_system(JSContext* js, JSValueConst object);
void define_messages(JSContext* js, JSValueConst object);
void define_processes(JSContext* js, JSValueConst object);
void define_json(JSContext* js, JSValueConst object);

}  // namespace runts
