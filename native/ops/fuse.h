// A small server of FUSE: the files of a system view (view.h), read-only, in one directory.
#pragma once
#include "view.h"

namespace runts {

// Opens /dev/fuse and makes a detached mount of it, for whoever is in our user namespace. The mount is returned.
int fuse_mount(Where& at, int* device, char* message, size_t size);

// Serves until the mount is gone, or `owner` is readable, which a socket also is at its end (negative: nobody's end is
// ours). Requests are what processes of the container make of them: nothing in one is taken for granted.
int serve_view(Where& at, int device, int owner, const ViewSources& sources);

// What is kept between requests.
struct ViewServer;

// Answers one request. For fuzzers, which have no mount: `serve_view` calls it.
void answer_request(ViewServer& server, const uint8_t* request, size_t size);
ViewServer* new_view_server(Where& at, int device, const ViewSources& sources);
char* view_scratch(ViewServer& server);

}  // namespace runts
