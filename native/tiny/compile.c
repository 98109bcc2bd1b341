// compile <script> <bytecode>: the bytecode of a script. It is linked with the same engine, so that the two agree about what
// the bytecode means; it has the engine's source inside, whose structures no header tells.
#include <stdio.h>
#include <stdlib.h>

static char *whole_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (!file) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  char *text = malloc(*size + 1);
  if (fread(text, 1, *size, file) != *size) return NULL;
  text[*size] = 0;
  fclose(file);
  return text;
}

#include "quickjs.c"

// Names that only messages about our own mistakes have, of functions and of what they capture: each would be an atom.
static void forget_names(JSContext *js, JSFunctionBytecode *function) {
  JS_FreeAtom(js, function->func_name);
  function->func_name = JS_ATOM_NULL;
  for (int i = 0; i < function->closure_var_count; i++) {
    JS_FreeAtom(js, function->closure_var[i].var_name);
    function->closure_var[i].var_name = JS_ATOM_NULL;
  }
  for (int i = 0; i < function->cpool_count; i++) {
    JSValue each = function->cpool[i];
    if (JS_VALUE_GET_TAG(each) == JS_TAG_FUNCTION_BYTECODE) forget_names(js, JS_VALUE_GET_PTR(each));
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  size_t size = 0, length = 0;
  char *text = whole_file(argv[1], &size);
  if (!text) return perror(argv[1]), 1;
  JSContext *js = JS_NewContext(JS_NewRuntime());
  JS_AddIntrinsicBigInt(js);
  JSValue code = JS_Eval(js, text, size, "runts", JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY | JS_EVAL_FLAG_STRIP);
  if (JS_IsException(code)) {
    JSValue error = JS_GetException(js);
    fprintf(stderr, "%s: %s%s\n", argv[1], JS_ToCString(js, error),
            JS_ToCString(js, JS_GetPropertyStr(js, error, "stack")));
    return 1;
  }
  JSModuleDef *module = JS_VALUE_GET_PTR(code);
  forget_names(js, JS_VALUE_GET_PTR(module->func_obj));
  unsigned char *bytes = JS_WriteObject(js, &length, code, JS_WRITE_OBJ_BYTECODE);
  FILE *out = bytes ? fopen(argv[2], "wb") : NULL;
  if (!out) return perror(argv[2]), 1;
  if (fwrite(bytes, 1, length, out) != length) return perror(argv[2]), 1;
  return fclose(out) == 0 ? 0 : 1;
}
