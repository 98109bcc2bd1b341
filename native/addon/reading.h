// What is read of the file system in one go, on a thread of the pool: each turn to it and back costs more than the calls.
#pragma once
#include <napi.h>

namespace runts {

void define_reading(Napi::Env env, Napi::Object exports);

}  // namespace runts
