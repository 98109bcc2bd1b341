// The system's primitives one by one: thin wrappers over the very functions that the init runs. They change the calling
// thread or process, so lib/unsafe.ts is where they are for people.
#pragma once
#include <napi.h>

namespace runts {

void define_primitives(Napi::Env env, Napi::Object exports);

}  // namespace runts
