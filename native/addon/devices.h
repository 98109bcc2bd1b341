// The device filter of a cgroup: an eBPF program.
#pragma once
#include <napi.h>

namespace runts {

void define_devices(Napi::Env env, Napi::Object exports);

}  // namespace runts
