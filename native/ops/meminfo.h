// The files of a system view that are about memory.
#pragma once
#include "readings.h"

namespace runts {

// `host` is the host's file; `scratch`, and `meminfo`, have room for kViewSmall.
void write_meminfo(Text& out, const ViewSources& sources, const char* host, char* scratch);
void write_swaps(Text& out, const ViewSources& sources, const char* host, char* meminfo);

}  // namespace runts
