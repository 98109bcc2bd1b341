// What an image contains, one subject after the other: directories, links, attributes and types that change between two
// looks, under paths of any form.
#include "../ops/files.h"

#include <string.h>

#include "../ops/cgroup.h"
#include "../ops/copy.h"
#include "../ops/mounts.h"
#include "../ops/path.h"
#include "../ops/process.h"
#include "../ops/root.h"
#include "../ops/terminal.h"
#include "kernel.h"

using namespace runts;

namespace {

char path[kernel::kPathRoom], other[kernel::kPathRoom];

// Now and then one of the longest that there are.
void read_path(char (&to)[kernel::kPathRoom]) {
  size_t size = kernel::byte();
  if (size >= 0xf8) size = kernel::kPathRoom - 1 - size % 4;
  size_t taken = kernel::take(to, size);
  for (size_t i = taken; i < size && size > 0xff; i++) to[i] = i % 8 ? 'l' : '/';
  to[size > 0xff ? size : taken] = 0;
}

const char* no_option(const void*, uint32_t) { return path; }

int use(Where& at, uint8_t which, int root, int other_root) {
  switch (which % 16) {
    case 0: return copy_tree(at, root, other_root);
    case 1: return remove_tree(at, root, path);
    case 2: return kill_cgroup(at, root, path);
    case 3: return Fd(make_directory(at, root, path, 0755)).ok();
    case 4: return Fd(mount_point(at, root, path, false)).ok();
    case 5: return make_symlink(at, root, path, other);
    case 6: return make_file(at, root, path, 0644, other, strlen(other));
    case 7: return make_node(at, root, path, Node{020666, 1, 3, 0, 0});
    case 8: return change_mode(at, root, path, 0700);
    case 9: return mask(at, root, path, other_root);
    case 10: return make_readonly(at, root, path);
    case 11: return inherit(at, other_root, root, path, true);
    case 12: return attach(at, other_root, root, path, true);
    case 13: return change_directory(at, path);
    case 14: return executable(at, path);
    default: {
      static char message[240];
      return Fd(fsmount(at, "tmpfs", Options{1, no_option, nullptr}, 0, message, sizeof message)).ok();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 1) return 0;
  kernel::begin(input + 1, size - 1);
  read_path(path);
  read_path(other);
  int root = kernel::give(), other_root = kernel::give();
  Where at;
  int r = 0;
  if (kernel::lives([&] { r = use(at, input[0], root, other_root); })) {
    if (r < 0) kernel::expect_text(at.detail);
    kernel::expect_open_only(nullptr, 0);
  }
  return 0;
}
