// What is read of the file system in one go, on a thread of the pool: each turn to it and back costs more than the calls.
#pragma once
#include <napi.h>

#include "../ops/result.h"

namespace runts {

// Whether a path leads to a directory without a link on the way.
bool is_straight(const char* path);

// A regular file below a root, for reading.
int open_file_below(Where& at, int root, const char* path);

void define_reading(Napi::Env env, Napi::Object exports);

}  // namespace runts
