// What remains of a process's surroundings, and the exec that ends it all.
#pragma once
#include "result.h"

namespace runts {

int set_hostname(Where& at, const char* name);
int set_domainname(Where& at, const char* name);
int link_up(Where& at, const char* name);
int set_rlimit(Where& at, uint32_t resource, uint64_t soft, uint64_t hard);
// chdir(2), and the proof that we are below our root (CVE-2024-21626).
int change_directory(Where& at, const char* path);
int new_keyring(Where& at, const char* name);
// Whether a path can be executed by somebody, and is reached through no magic link: 0, -ENOENT or -EACCES.
int executable(Where& at, const char* path);
// With SECCOMP_FILTER_FLAG_NEW_LISTENER: the listener.
int load_seccomp(Where& at, const void* filter, size_t size, uint64_t flags);
// Every signal back to its default: handlers are gone, but what Node ignores stays ignored over an exec.
void reset_signals();
// A signal waits for the reaper, or for the command.
void block_signals();
// For a command: none is blocked, and none ignored.
void unblock_signals();

// Whether children that end are collected by the kernel (SIGCHLD is ignored), as nobody waits for them.
void ignore_children(bool ignored);

}  // namespace runts
