// The ordinary document of JSON, read at once: what is longer to read than to say is left to the reader of lib/spec/json.ts,
// which also knows how to tell what is wrong. Where this one gives a value, that one gives the same.
#include <string.h>

#include "value.h"

namespace runts {

namespace {

constexpr int kDepthMax = 128;
// Each is a whole number that a double holds.
constexpr int kDigitsMax = 15;
constexpr size_t kEscapedBytesMax = 4096;

class Reader {
 public:
  Reader(JSContext* js, const uint8_t* text, size_t size) : js_(js), at_(text), end_(text + size) {}

  JSValue document() {
    space();
    JSValue whole = value(0);
    space();
    return sure_ && at_ == end_ ? whole : dropped(whole);
  }

 private:
  struct Text {
    const char* data;
    size_t size;
  };

  uint8_t next() const { return at_ < end_ ? *at_ : 0; }

  void space() {
    while (at_ < end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) at_++;
  }

  bool take(uint8_t character) {
    space();
    if (next() != character) return false;
    at_++;
    return true;
  }

  JSValue unsure() {
    sure_ = false;
    return JS_UNDEFINED;
  }

  JSValue dropped(JSValue value) {
    JS_FreeValue(js_, value);
    return unsure();
  }

  JSValue value(int depth) {
    switch (next()) {
      case '{':
        return depth < kDepthMax ? object(depth + 1) : unsure();
      case '[':
        return depth < kDepthMax ? array(depth + 1) : unsure();
      case '"': {
        Text read;
        return string(&read) ? JS_NewStringLen(js_, read.data, read.size) : unsure();
      }
      case 't':
        return word("true", JS_TRUE);
      case 'f':
        return word("false", JS_FALSE);
      case 'n':
        return word("null", JS_NULL);
      default:
        return integer();
    }
  }

  JSValue object(int depth) {
    JSValue result = JS_NewObjectProto(js_, JS_NULL);
    at_++;
    if (take('}')) return result;
    do {
      space();
      Text name;
      if (!string(&name)) return dropped(result);
      JSAtom key = JS_NewAtomLen(js_, name.data, name.size);
      bool fits = JS_HasProperty(js_, result, key) == 0 && take(':');
      space();
      if (fits) JS_DefinePropertyValue(js_, result, key, value(depth), JS_PROP_C_W_E);
      JS_FreeAtom(js_, key);
      if (!fits || !sure_) return dropped(result);
    } while (take(','));
    return take('}') ? result : dropped(result);
  }

  JSValue array(int depth) {
    JSValue result = JS_NewArray(js_);
    at_++;
    if (take(']')) return result;
    uint32_t index = 0;
    do {
      space();
      JS_DefinePropertyValueUint32(js_, result, index++, value(depth), JS_PROP_C_W_E);
      if (!sure_) return dropped(result);
    } while (take(','));
    return take(']') ? result : dropped(result);
  }

  // In ASCII; good until the next.
  bool string(Text* read) {
    if (next() != '"') return false;
    const uint8_t* from = ++at_;
    while (at_ < end_ && *at_ >= 0x20 && *at_ < 0x80 && *at_ != '"' && *at_ != '\\') at_++;
    size_t length = static_cast<size_t>(at_ - from);
    if (next() == '"') {
      at_++;
      *read = {reinterpret_cast<const char*>(from), length};
      return true;
    }
    if (next() != '\\' || length > kEscapedBytesMax) return false;
    memcpy(escaped_, from, length);
    return rest(read, length);
  }

  // Of a string that has escapes.
  bool rest(Text* read, size_t length) {
    while (at_ < end_ && length < kEscapedBytesMax) {
      uint8_t character = *at_++;
      if (character == '"') {
        *read = {escaped_, length};
        return true;
      }
      if (character == '\\') character = escape();
      else if (character < 0x20) return false;
      if (character == 0 || character >= 0x80) return false;
      escaped_[length++] = static_cast<char>(character);
    }
    return false;
  }

  // 0 for what is left to the other reader.
  uint8_t escape() {
    static constexpr char kNames[] = "\"\\/bfnrt";
    static constexpr char kMeant[] = "\"\\/\b\f\n\r\t";
    if (next() != 'u') {
      const char* found = next() == 0 ? nullptr : strchr(kNames, next());
      if (found != nullptr) at_++;
      return found == nullptr ? 0 : static_cast<uint8_t>(kMeant[found - kNames]);
    }
    if (end_ - at_ < 5 || at_[1] != '0' || at_[2] != '0') return 0;
    int high = digit(at_[3]), low = digit(at_[4]);
    at_ += 5;
    return high < 0 || low < 0 ? 0 : static_cast<uint8_t>(high * 16 + low);
  }

  static int digit(uint8_t character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    return character >= 'A' && character <= 'F' ? character - 'A' + 10 : -1;
  }

  JSValue integer() {
    bool negative = next() == '-';
    if (negative) at_++;
    const uint8_t* from = at_;
    int64_t number = 0;
    while (next() >= '0' && next() <= '9' && at_ - from < kDigitsMax) number = number * 10 + (*at_++ - '0');
    bool leads = from < at_ && *from == '0' && (at_ - from > 1 || negative);
    bool more = (next() >= '0' && next() <= '9') || next() == '.' || next() == 'e' || next() == 'E';
    if (at_ == from || leads || more) return unsure();
    return JS_NewInt64(js_, negative ? -number : number);
  }

  JSValue word(const char* text, JSValue value) {
    size_t length = strlen(text);
    if (static_cast<size_t>(end_ - at_) < length || memcmp(at_, text, length) != 0) return unsure();
    at_ += length;
    return value;
  }

  JSContext* js_;
  const uint8_t* at_;
  const uint8_t* end_;
  bool sure_ = true;
  char escaped_[kEscapedBytesMax];
};

// parseJson(text) -> the value, or undefined
JSValue parse_json(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes text(js, arguments[0]);
  Reader reader(js, text.data(), text.size());
  return reader.document();
}

bool has_nulls(JSContext* js, JSValueConst value) {
  if (!JS_IsObject(value)) return false;
  JSPropertyEnum* members = nullptr;
  uint32_t count = 0;
  if (JS_GetOwnPropertyNames(js, &members, &count, value, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0) return true;
  bool list = JS_IsArray(js, value) > 0;
  bool found = false;
  for (uint32_t i = 0; i < count; i++) {
    if (!found) {
      JSValue member = JS_GetProperty(js, value, members[i].atom);
      found = (JS_IsNull(member) && !list) || has_nulls(js, member);
      JS_FreeValue(js, member);
    }
    JS_FreeAtom(js, members[i].atom);
  }
  js_free(js, members);
  return found;
}

// hasNulls(value) -> boolean, of what parseJson or its other reader gave: that is not deeper than kDepthMax.
JSValue nulls(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  return JS_NewBool(js, has_nulls(js, arguments[0]));
}

// isKernelText(text) -> boolean. Half of a pair is what nothing else is in UTF-8: ED, and a byte from A0 on.
JSValue kernel_text(JSContext* js, JSValueConst, int, JSValueConst* arguments) {
  Bytes text(js, arguments[0]);
  bool fits = !text.has_nul();
  for (size_t i = 1; i < text.size(); i++) fits = fits && !(text.data()[i - 1] == 0xed && text.data()[i] >= 0xa0);
  return JS_NewBool(js, fits);
}

}  // namespace

void define_json(JSContext* js, JSValueConst object) {
  define(js, object, "parseJson", parse_json, 1);
  define(js, object, "hasNulls", nulls, 1);
  define(js, object, "isKernelText", kernel_text, 1);
}

}  // namespace runts
