#pragma once
#include <napi.h>

namespace runts {

// spawn(flags, cgroup | undefined, done({pid, process, channel, mapped, errand, messages, ended} | {pid, frames, code, signal} |
//   failure), stayMs = 0, looks, errand, maps) -> channel | undefined | failure
// A callback and no promise: what it has not taken over when it comes back (the channel, into a Channel) is ended here,
// so that a worker which is terminated between two turns of its loop leaves no process behind.
Napi::Value spawn(const Napi::CallbackInfo& info);

}  // namespace runts
