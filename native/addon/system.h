// What lib/node needs of the system and Node does not have.
#pragma once
#include <napi.h>

namespace runts {

void define_system(Napi::Env env, Napi::Object exports);

}  // namespace runts
