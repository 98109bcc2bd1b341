#include "value.h"

#include <string.h>

namespace runts {

Bytes::Bytes(JSContext* js, JSValueConst value) : js_(js) {
  if (JS_IsString(value)) {
    text_ = JS_ToCStringLen(js, &size_, value);
    data_ = reinterpret_cast<const uint8_t*>(text_);
    return;
  }
  if (!JS_IsObject(value)) return;
  size_t offset = 0, length = 0, element = 0, whole = 0;
  JSValue buffer = JS_GetTypedArrayBuffer(js, value, &offset, &length, &element);
  if (JS_IsException(buffer)) {
    JS_FreeValue(js, JS_GetException(js));
    return;
  }
  uint8_t* start = JS_GetArrayBuffer(js, &whole, buffer);
  JS_FreeValue(js, buffer);  // the array that the caller has keeps it
  data_ = start == nullptr ? nullptr : start + offset;
  size_ = length;
}

Bytes::~Bytes() {
  if (text_ != nullptr) JS_FreeCString(js_, text_);
}

bool Bytes::has_nul() const { return text_ != nullptr && memchr(text_, 0, size_) != nullptr; }

uint32_t length_of(JSContext* js, JSValueConst list) {
  JSValue length = JS_GetPropertyStr(js, list, "length");
  int64_t count = number_of(js, length);
  JS_FreeValue(js, length);
  return static_cast<uint32_t>(count);
}

int descriptor_at(JSContext* js, JSValueConst list, uint32_t index) {
  JSValue value = JS_GetPropertyUint32(js, list, index);
  int64_t fd = number_of(js, value);
  JS_FreeValue(js, value);
  return static_cast<int>(fd);
}

Strings::Strings(JSContext* js, JSValueConst list) : js_(js), count_(length_of(js, list)) {
  strings_ = static_cast<const char**>(js_mallocz(js, (count_ + 1) * sizeof(char*)));
  for (uint32_t i = 0; strings_ != nullptr && i < count_; i++) {
    JSValue value = JS_GetPropertyUint32(js, list, i);
    strings_[i] = JS_ToCString(js, value);
    JS_FreeValue(js, value);
  }
}

Strings::~Strings() {
  for (uint32_t i = 0; strings_ != nullptr && i < count_; i++) JS_FreeCString(js_, strings_[i]);
  js_free(js_, strings_);
}

JSValue failure(JSContext* js, const Where& at, int error) {
  JSValue object = JS_NewObject(js);
  JS_SetPropertyStr(js, object, "errno", JS_NewInt32(js, -error));
  JS_SetPropertyStr(js, object, "step", JS_NewInt32(js, at.step));
  JS_SetPropertyStr(js, object, "detail", JS_NewString(js, at.detail));
  return object;
}

void define(JSContext* js, JSValueConst object, const char* name, JSCFunction* function, int parameters) {
  JS_SetPropertyStr(js, object, name, JS_NewCFunction(js, function, name, parameters));
}

}  // namespace runts
