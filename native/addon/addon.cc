// The entry: everything that lib/node/native.ts declares.
#include "blob.h"
#include "cgroups.h"
#include "channel.h"
#include "devices.h"
#include "errand.h"
#include "exit.h"
#include "system.h"
#include "handle.h"
#include "look.h"
#include "primitives.h"
#include "quota.h"
#include "reading.h"
#include "sockets.h"
#include "spawn.h"
#include "state.h"
#include "terminal.h"

namespace {

Napi::Object start(Napi::Env env, Napi::Object exports) {
  auto* state = new runts::State(env);
  env.SetInstanceData(state);
  Napi::Function handle = runts::Handle::define(env);
  state->handle_class = Napi::Persistent(handle);
  exports.Set("Handle", handle);
  exports.Set("Channel", runts::Channel::define(env));
  exports.Set("Exit", runts::Exit::define(env));
  exports.Set("Terminal", runts::Terminal::define(env));
  exports.Set("rawTerminal", Napi::Function::New<runts::raw_terminal>(env, "rawTerminal"));
  exports.Set("letter", Napi::Function::New<runts::make_letter>(env, "letter"));
  exports.Set("looks", Napi::Function::New<runts::make_looks>(env, "looks"));
  exports.Set("spawn", Napi::Function::New<runts::spawn>(env, "spawn"));
  exports.Set("spawnBy", Napi::Function::New<runts::spawn_by>(env, "spawnBy"));
  exports.Set("spawnAhead", Napi::Function::New<runts::spawn_ahead>(env, "spawnAhead"));
  exports.Set("endAhead", Napi::Function::New<runts::end_ahead>(env, "endAhead"));
  exports.Set("letGo", Napi::Function::New<runts::let_go>(env, "letGo"));
  runts::define_system(env, exports);
  runts::define_sockets(env, exports);
  runts::define_blob(env, exports);
  runts::define_devices(env, exports);
  runts::define_primitives(env, exports);
  runts::define_quota(env, exports);
  runts::define_reading(env, exports);
  runts::define_cgroups(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(runts, start)
