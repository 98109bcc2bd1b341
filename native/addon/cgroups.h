// What lib/node needs of the cgroup v2 file system.
#pragma once
#include <napi.h>

namespace runts {

void define_cgroups(Napi::Env env, Napi::Object exports);

}  // namespace runts
