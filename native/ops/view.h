// What /proc would say of a container's processors, memory and time, were its cgroup a machine.
#pragma once
#include "result.h"

namespace runts {

// Where it is read from: directories.
struct ViewSources {
  int proc;     // the host's /proc
  int process;  // the entry there of the container's first process
  int cgroup;   // the container's, of version 2; negative where it has none
};

enum ViewFile : uint32_t {
  kViewCpuinfo,
  kViewMeminfo,
  kViewStat,
  kViewUptime,
  kViewLoadavg,
  kViewSwaps,
  kViewDiskstats,
  kViewOnline,
  kViewFiles,
};

// The longest of files: /proc/cpuinfo of a machine with some hundred processors. What is longer is cut off.
constexpr size_t kViewBytesMax = 1u << 20;

// How often the load is looked at, as the kernel does.
constexpr uint64_t kViewSampleMs = 5000;

// What the functions below need room for beside what they write: a file of the host's, and a smaller one.
constexpr size_t kViewSmall = 1u << 16;
constexpr size_t kViewScratch = kViewBytesMax + kViewSmall;

// To be called first, while the container's process is there.
void begin_view(const ViewSources& sources, char* scratch);

// Says that kViewSampleMs have passed, `times` times.
void sample_view(const ViewSources& sources, uint64_t times, char* scratch);

// Writes what a file says now; at most kViewBytesMax bytes.
size_t write_view(const ViewSources& sources, ViewFile file, char* to, char* scratch);

}  // namespace runts
