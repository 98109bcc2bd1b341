// The reader of JSON of the static runts, on anything at all, in the engine that it is made for: whatever it is sure of, the
// engine's own reader says too, and it reads nothing beyond the end.
#include <stdlib.h>
#include <string.h>

#include "../tiny/value.h"

using namespace runts;

namespace {

constexpr char kReference[] = R"(
(ours, bytes, text) => {
  const nulls = (value, list) =>
    value === null ? !list : typeof value === 'object' && Object.values(value).some((each) => nulls(each, Array.isArray(value)));
  const found = ours.parseJson(bytes);
  const again = ours.parseJson(text);
  if (found === undefined || again === undefined) return found === again;
  const wanted = JSON.stringify(JSON.parse(text));
  if (JSON.stringify(found) !== wanted || JSON.stringify(again) !== wanted) return false;
  return ours.hasNulls(found) === nulls(found, true);
})";

struct Engine {
  Engine() : js(JS_NewContext(JS_NewRuntime())) {
    ours = JS_NewObject(js);
    define_json(js, ours);
    agrees = JS_Eval(js, kReference, sizeof kReference - 1, "reference", JS_EVAL_TYPE_GLOBAL);
    JSValue global = JS_GetGlobalObject(js);
    array_class = JS_GetPropertyStr(js, global, "Uint8Array");
    JS_FreeValue(js, global);
    if (JS_IsException(agrees)) abort();
  }

  JSContext* js;
  JSValue ours, agrees, array_class;
};

// In a block of its own, whose end ASan guards.
JSValue bytes_of(const Engine& engine, const uint8_t* input, size_t size) {
  auto* exact = static_cast<uint8_t*>(malloc(size));
  memcpy(exact, input, size);
  auto release = [](JSRuntime*, void*, void* memory) { free(memory); };
  JSValue buffer = JS_NewArrayBuffer(engine.js, exact, size, release, nullptr, false);
  JSValue array = JS_CallConstructor(engine.js, engine.array_class, 1, &buffer);
  JS_FreeValue(engine.js, buffer);
  return array;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  static const Engine engine;
  if (size == 0) return 0;
  JSContext* js = engine.js;
  JSValue text = JS_NewStringLen(js, reinterpret_cast<const char*>(input), size);
  JSValue words[] = {JS_DupValue(js, engine.ours), bytes_of(engine, input, size), text};
  JSValue agreed = JS_Call(js, engine.agrees, JS_UNDEFINED, 3, words);
  if (!JS_IsBool(agreed) || !JS_ToBool(js, agreed)) abort();
  for (JSValue& each : words) JS_FreeValue(js, each);
  return 0;
}
