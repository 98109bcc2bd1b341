// Between JavaScript values and ours. lib/node checks what people pass: here a wrong type is a bug, and ends the
// process.
#pragma once
#include <napi.h>

#include <string>

#include "../ops/result.h"

namespace runts {

void expect(bool condition, const char* what);

double number_of(const Napi::Value& value);
uint64_t flags_of(const Napi::Value& value);
bool truth_of(const Napi::Value& value);
std::string text_of(const Napi::Value& value);

struct Bytes {
  uint8_t* data;
  size_t size;
};
Bytes bytes_of(const Napi::Value& value);
Napi::Value copy_bytes(Napi::Env env, const uint8_t* data, size_t size);

// {errno, step, detail}: what lib/node/failure.ts makes an error of, with the caller's stack.
Napi::Value failure(Napi::Env env, const Where& at, int error);
// undefined for a result that is not negative, or a failure.
Napi::Value outcome(Napi::Env env, const Where& at, int result);

}  // namespace runts
