#include "meminfo.h"

namespace runts {

namespace {

struct Memory {
  uint64_t total, used, swap_total, swap_used;  // KiB
};

// The cgroup's rows of /proc/meminfo, and the rows of memory.stat that each is the sum of: in one text, which is shorter
// than a table.
constexpr char kRows[] =
    "Buffers:\0\0"
    "Cached:\0file\0"
    "SwapCached:\0swapcached\0"
    "Active:\0active_anon active_file\0"
    "Inactive:\0inactive_anon inactive_file\0"
    "Active(anon):\0active_anon\0"
    "Inactive(anon):\0inactive_anon\0"
    "Active(file):\0active_file\0"
    "Inactive(file):\0inactive_file\0"
    "Unevictable:\0unevictable\0"
    "Mlocked:\0\0"
    "Zswap:\0zswap\0"
    "Zswapped:\0zswapped\0"
    "Dirty:\0file_dirty\0"
    "Writeback:\0file_writeback\0"
    "AnonPages:\0anon\0"
    "Mapped:\0file_mapped\0"
    "Shmem:\0shmem\0"
    "KReclaimable:\0slab_reclaimable\0"
    "Slab:\0slab\0"
    "SReclaimable:\0slab_reclaimable\0"
    "SUnreclaim:\0slab_unreclaimable\0"
    "KernelStack:\0kernel_stack\0"
    "PageTables:\0pagetables\0"
    "SecPageTables:\0sec_pagetables\0"
    "Percpu:\0percpu\0"
    "AnonHugePages:\0anon_thp\0"
    "ShmemHugePages:\0shmem_thp\0"
    "FileHugePages:\0file_thp\0";

// KiB, of these rows of memory.stat together.
uint64_t sum_of(const char* stat, const char* names) {
  uint64_t sum = 0;
  while (*names) {
    char name[32];
    size_t size = 0;
    while (*names && *names != ' ') name[size++] = *names++;
    name[size++] = ' ';
    name[size] = 0;
    sum += number_in(stat, name) / 1024;
    if (*names) names++;
  }
  return sum;
}

uint64_t number_of(int cgroup, const char* name) {
  char text[32];
  const char* at = text;
  return slurp(cgroup, name, text, sizeof text) ? number_at(at) : 0;
}

// Of the host's numbers those that are lower hold: what the host has not, nobody gets.
Memory memory_of(int cgroup, const char* host) {
  uint64_t total = number_in(host, "MemTotal:"), swap = number_in(host, "SwapTotal:");
  return {lowest(cgroup, "memory.max", total * 1024) / 1024, number_of(cgroup, "memory.current") / 1024,
          lowest(cgroup, "memory.swap.max", swap * 1024) / 1024, number_of(cgroup, "memory.swap.current") / 1024};
}

// What a row says; the host's own value where it is none of the container's.
uint64_t row_of(const char* row, const Memory& memory, const char* stat, uint64_t host) {
  uint64_t free = less(memory.total, memory.used);
  if (past(row, "MemTotal:")) return memory.total;
  if (past(row, "MemFree:")) return lower(free, host);
  if (past(row, "MemAvailable:")) {
    uint64_t could_go = sum_of(stat, "active_file inactive_file");
    return lower(lower(memory.total, free + could_go + sum_of(stat, "slab_reclaimable")), host);
  }
  if (past(row, "SwapTotal:")) return memory.swap_total;
  if (past(row, "SwapFree:")) return lower(less(memory.swap_total, memory.swap_used), host);
  for (const char* known = kRows; *known;) {
    const char* sum = known + strlen(known) + 1;
    if (past(row, known)) return sum_of(stat, sum);
    known = sum + strlen(sum) + 1;
  }
  return host;
}

bool has_memory(const ViewSources& sources) {
  char text[32];
  return slurp(sources.cgroup, "memory.current", text, sizeof text);
}

}  // namespace

void write_meminfo(Text& out, const ViewSources& sources, const char* host, char* scratch) {
  if (!has_memory(sources)) return out.add(host);
  Memory memory = memory_of(sources.cgroup, host);
  slurp(sources.cgroup, "memory.stat", scratch, kViewSmall);
  for (const char *line = host, *end; *line; line = end) {
    end = next_line(line);
    const char* at = strchr(line, ':');
    if (!at || at > end) return;
    const char* value = at + 1;
    uint64_t said = number_at(value);
    // In pages or alike, and none that a cgroup counts.
    bool kib = past(value, " kB");
    out.bytes(line, static_cast<size_t>((kib ? at + 1 : end) - line));
    if (!kib) continue;
    for (auto width = static_cast<size_t>(at + 1 - line); width < 16; width++) out.add(" ");
    out.number(row_of(line, memory, scratch, said), 8);
    out.add(" kB\n");
  }
}

void write_swaps(Text& out, const ViewSources& sources, const char* host, char* meminfo) {
  char text[32];
  if (!slurp(sources.cgroup, "memory.swap.current", text, sizeof text)) return out.add(host);
  slurp(sources.proc, "meminfo", meminfo, kViewSmall);
  Memory memory = memory_of(sources.cgroup, meminfo);
  out.add("Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n");
  if (!memory.swap_total) return;
  out.add("none\t\t\t\t\tvirtual\t\t");
  out.number(memory.swap_total);
  out.add("\t\t");
  out.number(lower(memory.swap_used, memory.swap_total));
  out.add("\t\t0\n");
}

}  // namespace runts
