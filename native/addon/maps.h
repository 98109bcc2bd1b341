// The id maps of a new user namespace, written by the thread that has cloned its first process.
#pragma once
#include <napi.h>

#include <string>

#include "../ops/result.h"

namespace runts {

struct IdMaps {
  std::string uids, gids;
  // Before the gid map: without this the kernel lets nobody without privileges write one (user_namespaces(7)).
  bool deny_setgroups = false;

  bool empty() const { return uids.empty(); }
  // {uids, gids, setgroups: 'deny' | 'allow'}
  static IdMaps read(const Napi::Object& from);
  // Of a child that nobody collects meanwhile. A refusal is about the file that `at` names.
  int write(Where& at, int pid) const;
};

}  // namespace runts
