#pragma once
#include <napi.h>

namespace runts {

// spawn(flags, cgroup | undefined, done({pid, process, channel, mapped, errand, messages, ended} | {pid, frames, code, signal} |
//   failure), stayMs = 0, looks, maps, letter, handles, text, children = 0) -> channel | undefined | failure
// A callback and no promise: what it has not taken over when it comes back (the channel, into a Channel) is ended here,
// so that a worker which is terminated between two turns of its loop leaves no process behind.
Napi::Value spawn(const Napi::CallbackInfo& info);

// spawnBy(zygote: Channel, its pidfd, cgroup | undefined, done as of spawn, stayMs, children, letter, handles, text) -> failure |
//   undefined: by a zygote (op fork_inits). It is asked at once, so that only the answer takes a thread.
Napi::Value spawn_by(const Napi::CallbackInfo& info);

// spawnAhead(zygote, its pidfd, cgroup | undefined, letter, handles, text) -> ahead | failure: the same, of one that waits at a sync
// point. Nobody is told of it.
Napi::Value spawn_ahead(const Napi::CallbackInfo& info);
// letGo(ahead, word, done as of spawn, stayMs, children): once.
Napi::Value let_go(const Napi::CallbackInfo& info);
// endAhead(ahead, done()): the end of one that nobody has let go.
Napi::Value end_ahead(const Napi::CallbackInfo& info);

}  // namespace runts
