// What a running program needs of the init around it: the channel to the host, and the life of process 1.
#pragma once
#include "../ops/result.h"
#include "format.h"

namespace runts {

// Sends a frame to the host, with a descriptor when fd is not negative.
int send_frame(const Frame& frame, int fd);
// The same over another channel than ours.
int send_frame_over(int socket, const Frame& frame, int fd);

// The channel, to see its end by; nobody else may read from it.
int channel_fd();

// Waits for the host's GO with this tag; -EPIPE when the channel ends instead. It brings one handle, or none where
// `handle` is null.
int wait_for_go(uint32_t tag, int* handle);

// Waits at a listening socket for whoever says GO with one handle, which it returns. Their connection is the channel then.
int await_start(Where& at, int listener, uint32_t tag);

// Clones inits as the host asks for them, each into a user namespace of its own with these id maps, until the channel ends.
int clone_inits(Where& at, int proc, const char* uids, const char* gids);

// The same in the namespaces of the init itself, and without an exec: they begin as copies of it. Also until the host has not
// asked for so many milliseconds.
int fork_inits(Where& at, uint32_t idle_ms);

// Keeps programs that are run when the host says so, or is gone.
int keep(Where& at);

// Takes what the init itself has below descriptor `end`, the standard ones aside, to `end` or above.
int make_room(Where& at, int end);

// Forks: returns 0 in the child, which goes on with the program. The parent stays behind as process 1 and never returns.
// traced: the command will be able to get hold of process 1 (CAP_SYS_PTRACE), which then confines itself.
int stay_as_reaper(Where& at, uint64_t capabilities, bool traced);

// For a process 1 that outlives the host: the reading ends of the command's output, files to append it to in turn, each up
// to a number of bytes, and one for how the command ended.
enum : uint32_t { kSegmentsMax = 16 };
struct Outliving {
  int out, err, exit;
  const int* segments;
  uint32_t segment_count;
  uint64_t bytes_max;
};
int outlive(Where& at, const Outliving& what);

// Under a reaper that will be traced: waits until it is confined, as it must be before code that is not ours runs.
int reaper_is_ready(Where& at);

// Closes every descriptor from a number on, but those that say by closing at the exec that it has happened. Marked
// close-on-exec only, a path to execute could still go through them (/proc/self/fd: CVE-2024-21626).
int close_from(Where& at, uint32_t first);

}  // namespace runts
