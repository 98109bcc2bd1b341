// Sockets of the unix family: what node:net cannot do.
#pragma once
#include <napi.h>

namespace runts {

void define_sockets(Napi::Env env, Napi::Object exports);

}  // namespace runts
