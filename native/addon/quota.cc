#include "quota.h"

#include <errno.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>

#include "handle.h"
#include "value.h"

#ifndef __NR_quotactl_fd
#define __NR_quotactl_fd 443
#endif

namespace runts {

namespace {

long quotactl(Where& at, const char* what, int directory, uint32_t command, uint32_t project, void* data) {
  long r = sys(__NR_quotactl_fd, directory, QCMD(command, PRJQUOTA), project, data);
  return check(at, kStepOp, what, r);
}

// projectQuota(directory, project) -> {enforced, used, limit} | failure: of the file system that a directory is on, and in
// bytes. Accounting alone, as ext4 does it without the mount option, holds nobody back.
Napi::Value project_quota(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Where at;
  struct fs_quota_statv state = {};
  state.qs_version = FS_QSTATV_VERSION1;
  int r = static_cast<int>(quotactl(at, "Q_XGETQSTATV", fd_of(info[0]), Q_XGETQSTATV, 0, &state));
  if (r < 0) return failure(env, at, r);
  bool enforced = (state.qs_flags & FS_QUOTA_PDQ_ENFD) != 0;
  struct if_dqblk block = {};
  auto project = static_cast<uint32_t>(number_of(info[1]));
  if (enforced) r = static_cast<int>(quotactl(at, "Q_GETQUOTA", fd_of(info[0]), Q_GETQUOTA, project, &block));
  // Of a project that nobody has given anything there is no record.
  if (r < 0 && r != -ENOENT) return failure(env, at, r);
  Napi::Object found = Napi::Object::New(env);
  found.Set("enforced", Napi::Boolean::New(env, enforced));
  found.Set("used", Napi::Number::New(env, static_cast<double>(block.dqb_curspace)));
  found.Set("limit", Napi::Number::New(env, static_cast<double>(block.dqb_bhardlimit) * QIF_DQBLKSIZE));
  return found;
}

// limitProject(directory, project, bytes) -> undefined | failure: 0 is no limit.
Napi::Value limit_project(const Napi::CallbackInfo& info) {
  Where at;
  struct if_dqblk block = {};
  block.dqb_bhardlimit = static_cast<uint64_t>(number_of(info[2]) + QIF_DQBLKSIZE - 1) / QIF_DQBLKSIZE;
  block.dqb_valid = QIF_BLIMITS;
  auto project = static_cast<uint32_t>(number_of(info[1]));
  long r = quotactl(at, "Q_SETQUOTA", fd_of(info[0]), Q_SETQUOTA, project, &block);
  return outcome(info.Env(), at, static_cast<int>(r));
}

// setProject(directory, project) -> undefined | failure: what is made in it from now on has the number too.
Napi::Value set_project(const Napi::CallbackInfo& info) {
  Where at;
  struct fsxattr attributes;
  long r = check(at, kStepIoctl, "FS_IOC_FSGETXATTR", sys(__NR_ioctl, fd_of(info[0]), FS_IOC_FSGETXATTR, &attributes));
  if (r < 0) return failure(info.Env(), at, static_cast<int>(r));
  attributes.fsx_projid = static_cast<uint32_t>(number_of(info[1]));
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  r = check(at, kStepIoctl, "FS_IOC_FSSETXATTR", sys(__NR_ioctl, fd_of(info[0]), FS_IOC_FSSETXATTR, &attributes));
  return outcome(info.Env(), at, static_cast<int>(r));
}

}  // namespace

void define_quota(Napi::Env env, Napi::Object exports) {
  exports.Set("projectQuota", Napi::Function::New<project_quota>(env, "projectQuota"));
  exports.Set("limitProject", Napi::Function::New<limit_project>(env, "limitProject"));
  exports.Set("setProject", Napi::Function::New<set_project>(env, "setProject"));
}

}  // namespace runts
