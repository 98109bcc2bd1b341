// Files without a path.
#pragma once
#include <napi.h>

namespace runts {

void define_blob(Napi::Env env, Napi::Object exports);

}  // namespace runts
