#include "value.h"

#include <string.h>

namespace runts {

void expect(bool condition, const char* what) {
  if (!condition) napi_fatal_error("runts", NAPI_AUTO_LENGTH, what, NAPI_AUTO_LENGTH);
}

double number_of(const Napi::Value& value) {
  // In an environment that is being ended our own accessors give nothing (Handle's `fd`). No descriptor is -1, and a
  // system call says EBADF; types are checked in TypeScript.
  if (value.IsUndefined()) return -1;
  expect(value.IsNumber(), "not a number");
  return value.As<Napi::Number>().DoubleValue();
}

uint64_t flags_of(const Napi::Value& value) {
  double number = number_of(value);
  expect(number >= 0 && number <= 9007199254740991.0, "not a set of flags");
  return static_cast<uint64_t>(number);
}

bool truth_of(const Napi::Value& value) {
  expect(value.IsBoolean(), "not a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string text_of(const Napi::Value& value) {
  if (value.IsEmpty()) return "";  // an element that an environment which is being ended does not give
  expect(value.IsString(), "not a string");
  return value.As<Napi::String>().Utf8Value();
}

Bytes bytes_of(const Napi::Value& value) {
  expect(value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array, "not a Uint8Array");
  auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

Napi::Value copy_bytes(Napi::Env env, const uint8_t* data, size_t size) {
  void* to = nullptr;
  napi_value buffer, array;
  if (napi_create_arraybuffer(env, size, &to, &buffer) != napi_ok) return env.Undefined();
  if (size > 0) memcpy(to, data, size);
  if (napi_create_typedarray(env, napi_uint8_array, size, buffer, 0, &array) != napi_ok) return env.Undefined();
  return Napi::Value(env, array);
}

Napi::Value failure(Napi::Env env, const Where& at, int error) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("errno", Napi::Number::New(env, error < 0 ? -error : error));
  result.Set("step", Napi::Number::New(env, at.step));
  result.Set("detail", Napi::String::New(env, at.detail));
  return result;
}

Napi::Value outcome(Napi::Env env, const Where& at, int result) {
  return result < 0 ? failure(env, at, result) : env.Undefined();
}

}  // namespace runts
