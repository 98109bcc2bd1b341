// What the files of a system view say. The kernel's own text is walked line by line, and what concerns the container is
// said in its place: so the lines, and their order, are always those of this kernel. Where there is nothing to say it from
// (no controller, no cgroup), a file is the host's, with the processors that the container may use.
#include "view.h"

#include <linux/time.h>
#include <string.h>

#include "meminfo.h"

namespace runts {

namespace {

enum : uint64_t { kTicks = 100 /* USER_HZ */, kUsPerTick = 10000 };
constexpr int kLoadShift = 11;

uint64_t begun;  // ticks since the host's boot
// Averages over 1, 5 and 15 minutes, and the processor time that they were made from.
uint64_t load[3], load_us;

uint64_t now_ticks() {
  struct {
    int64_t s, ns;
  } time = {};
  (void)sys(__NR_clock_gettime, CLOCK_BOOTTIME, &time);
  return static_cast<uint64_t>(time.s) * kTicks + static_cast<uint64_t>(time.ns) / (kUsPerTick * 1000);
}

uint64_t elapsed() {
  uint64_t now = now_ticks();
  return now > begun ? now - begun : 0;
}

// ---- processors ------------------------------------------------------------------------------------------------------

// Those that the container may use, and how many of them it sees: no more than its time suffices for.
struct Processors {
  char list[1024];  // as `0-3,7`
  uint64_t shown = 0;

  bool has(uint64_t processor) const {
    const char* at = list;
    while (is_digit(*at)) {
      uint64_t first = number_at(at), last = first;
      if (*at == '-') last = number_at(++at);
      if (processor >= first && processor <= last) return true;
      if (*at == ',') at++;
    }
    return false;
  }

  void count() {
    for (const char* at = list; is_digit(*at);) {
      uint64_t first = number_at(at), last = first;
      if (*at == '-') last = number_at(++at);
      if (last >= first && last - first < kViewBytesMax) shown += last - first + 1;
      if (*at == ',') at++;
    }
  }
};

bool find_list(int dir, const char* path, const char* words, char* scratch, Processors* found) {
  if (!slurp(dir, path, scratch, kViewSmall)) return false;
  const char* list = line_of(scratch, words);
  if (!list || !is_digit(*list)) return false;
  size_t size = 0;
  while (size < sizeof found->list - 1 && list[size] && list[size] != '\n') size++;
  memcpy(found->list, list, size);
  found->list[size] = 0;
  return true;
}

// What the scheduler lets the first process have has everything in it, whoever set it. Where that process has gone on as
// another one, the cgroup says it; else we have what we have inherited from the same parent.
void find_processors(const ViewSources& sources, char* scratch, Processors* found) {
  constexpr char kAllowed[] = "Cpus_allowed_list:\t";
  if (!find_list(sources.process, "status", kAllowed, scratch, found) &&
      !find_list(sources.cgroup, "cpuset.cpus.effective", "", scratch, found) &&
      !find_list(sources.proc, "self/status", kAllowed, scratch, found)) {
    memcpy(found->list, "0", 2);
  }
  found->count();
  char text[64];
  for (int level = 0; level < limiting_levels; level++) {
    if (!slurp_above(sources.cgroup, level, "cpu.max", text, sizeof text) || !is_digit(*text)) continue;
    const char* at = text;
    uint64_t quota = number_at(at), period = number_at(at);
    if (period && quota / period < found->shown) found->shown = quota / period + (quota % period != 0);
  }
  if (!found->shown) found->shown = 1;
}

void write_cpuinfo(Text& out, const char* host, const Processors& processors) {
  uint64_t shown = 0;
  bool showing = true;
  for (const char *line = host, *end; *line; line = end) {
    end = next_line(line);
    const char* number = past(line, "processor\t: ");
    if (!number) {
      if (showing) out.bytes(line, static_cast<size_t>(end - line));
      continue;
    }
    showing = shown < processors.shown && processors.has(number_at(number));
    if (!showing) continue;
    out.add("processor\t: ");
    out.number(shown++);
    out.add("\n");
  }
}

void write_online(Text& out, const Processors& processors) {
  out.add("0");
  if (processors.shown > 1) {
    out.add("-");
    out.number(processors.shown - 1);
  }
  out.add("\n");
}

struct Used {
  bool known;
  uint64_t user, system;  // ticks
};

Used used_of(const ViewSources& sources, char* scratch) {
  bool known = slurp(sources.cgroup, "cpu.stat", scratch, kViewSmall);
  return {known, number_in(scratch, "user_usec ") / kUsPerTick, number_in(scratch, "system_usec ") / kUsPerTick};
}

// What is left of the time that so many processors had.
uint64_t idle_of(const Used& used, uint64_t processors) {
  uint64_t had = elapsed() * processors, busy = used.user + used.system;
  return had > busy ? had - busy : 0;
}

void write_times(Text& out, uint64_t user, uint64_t system, uint64_t idle) {
  out.column(user);
  out.add(" 0");
  out.column(system);
  out.column(idle);
  out.add(" 0 0 0 0 0 0\n");
}

// A cgroup does not say which processor did how much: each has its share.
void write_processor_times(Text& out, const Used& used, uint64_t count) {
  uint64_t idle = idle_of(used, count);
  out.add("cpu ");
  write_times(out, used.user, used.system, idle);
  for (uint64_t i = 0; i < count; i++) {
    out.add("cpu");
    out.number(i);
    // What is left over is the first one's, so that they add up.
    auto share = [&](uint64_t whole) { return whole / count + (i ? 0 : whole % count); };
    write_times(out, share(used.user), share(used.system), share(idle));
  }
}

void write_stat(Text& out, const char* host, const Processors& processors, const Used& used) {
  if (used.known) write_processor_times(out, used, processors.shown);
  uint64_t shown = 0;
  for (const char *line = host, *end; *line; line = end) {
    end = next_line(line);
    if (const char* at = past(line, "btime ")) {
      out.add("btime ");
      out.number(number_at(at) + begun / kTicks);
      out.add("\n");
      continue;
    }
    const char* number = past(line, "cpu");
    if (number && used.known) continue;
    if (number && is_digit(*number)) {
      if (shown >= processors.shown || !processors.has(number_at(number))) continue;
      out.add("cpu");
      out.number(shown++);
      line = number;
    }
    out.bytes(line, static_cast<size_t>(end - line));
  }
}

void write_uptime(Text& out, const Processors& processors, const Used& used) {
  out.fraction(elapsed());
  out.add(" ");
  // Hundredths are ticks.
  out.fraction(idle_of(used, processors.shown));
  out.add("\n");
}

uint64_t busy_us(const ViewSources& sources, char* scratch) {
  slurp(sources.cgroup, "cpu.stat", scratch, kViewSmall);
  uint64_t us = number_in(scratch, "usage_usec ");
  // Who waits for a processor is load, too. However many do, they count as one: the kernel does not say how many.
  slurp(sources.cgroup, "cpu.pressure", scratch, kViewSmall);
  const char* total = strchr(scratch, '\n');
  while (total && total > scratch && is_digit(total[-1])) total--;
  return us + (total ? number_at(total) : 0);
}

void write_loadavg(Text& out, const ViewSources& sources, const char* host, char* scratch) {
  char tasks[32];
  if (!slurp(sources.cgroup, "cpu.stat", scratch, kViewSmall)) return out.add(host);
  for (uint64_t average : load) {
    out.fraction((average * 100 + (1u << (kLoadShift - 1))) >> kLoadShift);
    out.add(" ");
  }
  // Who reads this runs.
  uint64_t running = load[0] >> kLoadShift ? (load[0] + (1u << kLoadShift) - 1) >> kLoadShift : 1;
  out.number(running);
  out.add("/");
  const char* at = tasks;
  uint64_t all = slurp(sources.cgroup, "pids.current", tasks, sizeof tasks) ? number_at(at) : running;
  out.number(all > running ? all : running);
  out.add(" 0\n");
}

// ---- disks -----------------------------------------------------------------------------------------------------------

uint64_t value_of(const char* row, const char* name) {
  for (; *row && *row != '\n'; row++) {
    const char* at = *row == ' ' ? past(row + 1, name) : nullptr;
    if (at) return number_at(at);
  }
  return 0;
}

void write_disk(Text& out, const char* device, size_t size, const char* row) {
  struct {
    char operations[6], bytes[8];
  } constexpr kinds[] = {{"rios=", "rbytes="}, {"wios=", "wbytes="}, {"dios=", "dbytes="}};
  out.bytes(device, size);
  for (auto& kind : kinds) {
    // Operations, merged ones, sectors of 512 bytes, milliseconds.
    out.column(value_of(row, kind.operations));
    out.add(" 0");
    out.column(value_of(row, kind.bytes) / 512);
    out.add(" 0");
    if (&kind == &kinds[1]) out.add(" 0 0 0");
  }
  out.add(" 0 0\n");
}

// The devices that the container has used.
void write_diskstats(Text& out, const ViewSources& sources, const char* host, char* scratch) {
  if (!slurp(sources.cgroup, "io.stat", scratch, kViewSmall)) return out.add(host);
  for (const char* line = host; *line; line = next_line(line)) {
    const char* at = line;
    char key[48];
    Text device = {key, 0};
    device.number(number_at(at));
    device.add(":");
    device.number(number_at(at));
    device.bytes(" ", 2);
    const char* row = line_of(scratch, key);
    if (!row) continue;
    at = past(at, " ");
    while (at && *at && *at != ' ' && *at != '\n') at++;
    if (at) write_disk(out, line, static_cast<size_t>(at - line), row - 1);
  }
}

// ---- all of them -----------------------------------------------------------------------------------------------------

// By ViewFile, as far as the host's own is read.
constexpr char kHost[][10] = {"cpuinfo", "meminfo", "stat", "uptime", "loadavg", "swaps", "diskstats"};

uint64_t start_of(int process, char* scratch) {
  uint64_t now = now_ticks();
  if (!slurp(process, "stat", scratch, kViewSmall)) return now;
  // The second field is a name in parentheses, that may have any in it; the start is the 22nd.
  const char* at = nullptr;
  for (const char* c = scratch; *c; c++) {
    if (*c == ')') at = c + 1;
  }
  for (int field = 2; at && field < 22; field++) {
    at = strchr(at, ' ');
    if (at) at++;
  }
  uint64_t start = at ? number_at(at) : now;
  return lower(start, now);
}

}  // namespace

void begin_view(const ViewSources& sources, char* scratch) {
  begun = start_of(sources.process, scratch);
  for (limiting_levels = 0; limiting_levels < kLevelsMax && slurp_above(sources.cgroup, limiting_levels, "cgroup.type", scratch, 64);) limiting_levels++;
  memset(load, 0, sizeof load);
  load_us = busy_us(sources, scratch);
}

void sample_view(const ViewSources& sources, uint64_t times, char* scratch) {
  // As the kernel has them: e^(-5s/1min) and so on, of 2048.
  constexpr uint64_t kOne = 1u << kLoadShift, kFactors[] = {1884, 2014, 2037};
  uint64_t us = busy_us(sources, scratch), spent = less(us, load_us);
  load_us = us;
  if (!times) return;
  uint64_t rate = lower(spent, uint64_t{1} << 40) * kOne / (times * kViewSampleMs * 1000);
  for (; times; times--) {
    // Rounded up while it rises, or it would never arrive.
    for (size_t i = 0; i < 3; i++) {
      load[i] = (load[i] * kFactors[i] + rate * (kOne - kFactors[i]) + (rate > load[i] ? kOne - 1 : 0)) >> kLoadShift;
    }
  }
}

size_t write_view(const ViewSources& sources, ViewFile file, char* to, char* scratch) {
  char* small = scratch + kViewBytesMax;
  Text out = {to, 0};
  Processors processors;
  Used used = {};
  if (file <= kViewUptime || file == kViewOnline) find_processors(sources, small, &processors);
  if (file == kViewStat || file == kViewUptime) used = used_of(sources, small);
  if (file != kViewOnline) slurp(sources.proc, kHost[file], scratch, kViewBytesMax);
  switch (file) {
    case kViewCpuinfo: write_cpuinfo(out, scratch, processors); break;
    case kViewMeminfo: write_meminfo(out, sources, scratch, small); break;
    case kViewStat: write_stat(out, scratch, processors, used); break;
    case kViewUptime: write_uptime(out, processors, used); break;
    case kViewLoadavg: write_loadavg(out, sources, scratch, small); break;
    case kViewSwaps: write_swaps(out, sources, scratch, small); break;
    case kViewDiskstats: write_diskstats(out, sources, scratch, small); break;
    default: write_online(out, processors); break;
  }
  return out.size;
}

}  // namespace runts
