// Quotas of projects: how much may be in the directory trees that have one number.
#pragma once
#include <napi.h>

namespace runts {

void define_quota(Napi::Env env, Napi::Object exports);

}  // namespace runts
