#pragma once
#include <napi.h>

namespace runts {

// spawn(flags, cgroup | undefined) -> Promise<{pid, process, channel} | failure>
Napi::Value spawn(const Napi::CallbackInfo& info);

}  // namespace runts
