// What lib/node needs of files that node:fs does not have.
#pragma once
#include <napi.h>

namespace runts {

void define_files(Napi::Env env, Napi::Object exports);

}  // namespace runts
