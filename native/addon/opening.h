// Opens files on a thread of the pool: the disk, or another process, may keep one waiting.
#pragma once
#include <napi.h>

#include <functional>

#include "../ops/result.h"

namespace runts {

// Promise<Handle | failure>. What `open` puts into `Where` must live as long as it does itself.
Napi::Promise open_on_pool(Napi::Env env, std::function<int(Where&)> open);

}  // namespace runts
