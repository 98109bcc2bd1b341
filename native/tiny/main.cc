// The static `runts`: an engine that has loaded our core and lib/tiny, and what these need of the system.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "packed.h"
#include "snapshot.h"
#include "value.h"

namespace runts {

namespace {

JSValue list_of(JSContext* js, char** strings) {
  JSValue list = JS_NewArray(js);
  for (uint32_t i = 0; strings[i] != nullptr; i++) {
    JS_SetPropertyUint32(js, list, i, JS_NewString(js, strings[i]));
  }
  return list;
}

}  // namespace

// lib/tiny/main.ts runs until there is nothing left to wait for.
int run(char** argv) {
  JSContext* js = open_snapshot();
  if (js == nullptr) return kOwnFailure;
  JS_SetPropertyStr(js, head()->native, "argv", list_of(js, argv));
  JS_SetPropertyStr(js, head()->native, "environment", list_of(js, environ));
  JSValue status = JS_Call(js, head()->entry, JS_UNDEFINED, 0, nullptr);
  if (JS_IsException(status)) return broken(js);
  return static_cast<int>(number_of(js, status));
}

}  // namespace runts

int main(int count, char** argv) {
  // Of a build that is not finished: `runts CODE IMAGE` makes the rest.
  if (!runts::is_whole()) {
    if (count == 3) return runts::make_snapshot(argv[1], argv[2]);
    fputs("runts: there is no snapshot in this file: its build did not end\n", stderr);
    return runts::kOwnFailure;
  }
  // A reader that is gone is told by EPIPE.
  signal(SIGPIPE, SIG_IGN);
  // The kernel takes all of it back at once; to free it piece by piece takes longer.
  _exit(runts::run(argv));
}
