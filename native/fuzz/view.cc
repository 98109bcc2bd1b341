// Requests to the server of a system view, whatever they are, over files of /proc and of a cgroup that say anything.
#include <string.h>

#include <memory>

#include "../ops/fuse.h"
#include "kernel.h"

using namespace runts;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 2) return 0;
  // The first byte says how much is the request: the rest is what the files say, and how calls end.
  size_t length = input[0] < size - 1 ? input[0] : size - 1;
  // Exactly as large, so that ASan sees who reads on.
  std::unique_ptr<uint8_t[]> request(new uint8_t[length]);
  memcpy(request.get(), input + 1, length);
  kernel::begin(input + 1 + length, size - 1 - length);
  kernel::in_proc = true;
  Where at;
  int device = kernel::give();
  ViewSources sources = {kernel::give(), kernel::give(), kernel::give()};
  static ViewServer* server = nullptr;
  (void)kernel::lives([&] {
    server = new_view_server(at, device, sources);
    if (!server) return;
    begin_view(sources, view_scratch(*server));
    answer_request(*server, request.get(), length);
    sample_view(sources, 1, view_scratch(*server));
    // Read on, and from the beginning: what is kept is used.
    answer_request(*server, request.get(), length);
    kernel::expect_open_only(nullptr, 0);
  });
  return 0;
}
