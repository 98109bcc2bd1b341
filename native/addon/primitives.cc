#include "primitives.h"

#include <errno.h>
#include <string.h>

#include "../ops/cgroup.h"
#include "../ops/files.h"
#include "../ops/mounts.h"
#include "../ops/namespaces.h"
#include "../ops/root.h"
#include "../program/verify.h"
#include "handle.h"
#include "value.h"

namespace runts {

namespace {

// fsmount(type, options, attributes) -> Handle | failure
Napi::Value new_mount(const Napi::CallbackInfo& info) {
  std::string type = text_of(info[0]);
  auto array = info[1].As<Napi::Array>();
  std::vector<std::string> list;
  for (uint32_t i = 0; i < array.Length(); i++) list.push_back(text_of(array.Get(i)));
  auto at_index = [](const void* from, uint32_t i) {
    return (*static_cast<const std::vector<std::string>*>(from))[i].c_str();
  };
  Options options = {static_cast<uint32_t>(list.size()), at_index, &list};
  Where at;
  char message[256] = "";
  return handle_or_failure(info.Env(), at,
                           fsmount(at, type.c_str(), options, flags_of(info[2]), message, sizeof message));
}

// cloneMount(root | undefined, path, recursive) -> Handle | failure
Napi::Value copy_mount(const Napi::CallbackInfo& info) {
  std::string path = text_of(info[1]);
  bool recursive = truth_of(info[2]);
  Where at;
  int fd = info[0].IsUndefined() ? clone_mount(at, path.c_str(), recursive)
                                 : clone_below(at, fd_of(info[0]), path.c_str(), recursive);
  return handle_or_failure(info.Env(), at, fd);
}

// mountAttributes(mount, set, clear, propagation, recursive) -> undefined | failure
Napi::Value change_mount(const Napi::CallbackInfo& info) {
  Where at;
  MountChange change = {flags_of(info[1]), flags_of(info[2]), flags_of(info[3]), truth_of(info[4])};
  return outcome(info.Env(), at, mount_attributes(at, fd_of(info[0]), change));
}

// attach(mount, root | undefined, path) -> undefined | failure
Napi::Value attach_mount(const Napi::CallbackInfo& info) {
  std::string path = text_of(info[2]);
  Where at;
  int r = info[1].IsUndefined() ? attach_host(at, fd_of(info[0]), path.c_str())
                                : attach(at, fd_of(info[0]), fd_of(info[1]), path.c_str(), false);
  return outcome(info.Env(), at, r);
}

// umount(path, flags)
Napi::Value umount(const Napi::CallbackInfo& info) {
  std::string path = text_of(info[0]);
  Where at;
  return outcome(info.Env(), at, unmount(at, path.c_str(), static_cast<uint32_t>(flags_of(info[1]))));
}

// propagation(flags, recursive)
Napi::Value propagation(const Napi::CallbackInfo& info) {
  Where at;
  return outcome(info.Env(), at, set_propagation(at, flags_of(info[0]), truth_of(info[1])));
}

// pivotRoot(root)
Napi::Value pivot_root(const Napi::CallbackInfo& info) {
  Where at;
  return outcome(info.Env(), at, pivot(at, fd_of(info[0])));
}

// setns(namespace, flags)
Napi::Value setns(const Napi::CallbackInfo& info) {
  Where at;
  return outcome(info.Env(), at, set_namespace(at, fd_of(info[0]), flags_of(info[1])));
}

// unshare(flags)
Napi::Value unshare(const Napi::CallbackInfo& info) {
  Where at;
  return outcome(info.Env(), at, unshare_namespaces(at, flags_of(info[0])));
}

// writeCgroup(directory, file, bytes)
Napi::Value write_control(const Napi::CallbackInfo& info) {
  std::string file = text_of(info[1]);
  Bytes value = bytes_of(info[2]);
  Where at;
  return outcome(info.Env(), at, write_cgroup(at, fd_of(info[0]), file.c_str(), value.data, value.size));
}

// removeTree(directory, path)
Napi::Value remove_all(const Napi::CallbackInfo& info) {
  std::string path = text_of(info[1]);
  Where at;
  return outcome(info.Env(), at, remove_tree(at, fd_of(info[0]), path.c_str()));
}

// verifyProgram(bytes) -> undefined | {op, reason}
Napi::Value verify_program(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Bytes bytes = bytes_of(info[0]);
  std::vector<uint64_t> aligned(bytes.size / sizeof(uint64_t) + 1);
  if (bytes.size > 0) memcpy(aligned.data(), bytes.data, bytes.size);
  Verdict verdict = verify(reinterpret_cast<const uint8_t*>(aligned.data()), bytes.size);
  if (!verdict.reason) return env.Undefined();
  Napi::Object refusal = Napi::Object::New(env);
  refusal.Set("op", Napi::Number::New(env, verdict.op));
  refusal.Set("reason", Napi::String::New(env, verdict.reason));
  return refusal;
}

}  // namespace

void define_primitives(Napi::Env env, Napi::Object exports) {
  exports.Set("fsmount", Napi::Function::New<new_mount>(env, "fsmount"));
  exports.Set("cloneMount", Napi::Function::New<copy_mount>(env, "cloneMount"));
  exports.Set("mountAttributes", Napi::Function::New<change_mount>(env, "mountAttributes"));
  exports.Set("attach", Napi::Function::New<attach_mount>(env, "attach"));
  exports.Set("umount", Napi::Function::New<umount>(env, "umount"));
  exports.Set("propagation", Napi::Function::New<propagation>(env, "propagation"));
  exports.Set("pivotRoot", Napi::Function::New<pivot_root>(env, "pivotRoot"));
  exports.Set("setns", Napi::Function::New<setns>(env, "setns"));
  exports.Set("unshare", Napi::Function::New<unshare>(env, "unshare"));
  exports.Set("writeCgroup", Napi::Function::New<write_control>(env, "writeCgroup"));
  exports.Set("removeTree", Napi::Function::New<remove_all>(env, "removeTree"));
  exports.Set("verifyProgram", Napi::Function::New<verify_program>(env, "verifyProgram"));
}

}  // namespace runts
