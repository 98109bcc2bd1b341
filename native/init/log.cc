// The log of a container that outlives its host, in the format of the CRI: a line is
// `<time, RFC 3339 with nanoseconds, UTC> stdout|stderr F|P <text>`; P where the text goes on in the stream's next line.
// The files were opened by the host: there is no directory to reach from here. When one is full the next is emptied and
// taken. That, and a disk that is full, costs lines, which are counted; neither ever holds the command back.
#include "log.h"

#include <linux/time.h>
#include <string.h>

namespace runts {

namespace {

enum : uint32_t { kLineMax = 16 * 1024, kChunk = 16 * 1024, kDrainMax = 1024 * 1024, kPrefixMax = 48 };

struct Source {
  int fd;
  uint32_t length;
  const char* name;
  uint8_t line[kLineMax];
};
Source pipes[2];

int segments[kSegmentsMax];
uint32_t segment_count = 0, segment = 0;
uint64_t segment_bytes = 0, segment_bytes_max = 0;
int exit_file;
// Lines of this run in each segment, and those that are in none: emptied, or not written.
uint64_t segment_lines[kSegmentsMax];
uint64_t dropped = 0;

// Whole lines that wait to be written at once.
uint8_t text[kChunk + kLineMax];
uint32_t text_length = 0, text_lines = 0;

struct Time {
  int64_t seconds, nanoseconds;
};
Time last = {0, 0};

// Never goes back: lines are sorted by it.
Time now() {
  Time t = {0, 0};
  (void)sys(__NR_clock_gettime, CLOCK_REALTIME, &t);
  if (t.seconds > last.seconds || (t.seconds == last.seconds && t.nanoseconds > last.nanoseconds)) last = t;
  return last;
}

uint8_t* put_text(uint8_t* to, const char* from) {
  while (*from) *to++ = static_cast<uint8_t>(*from++);
  return to;
}

uint8_t* put_number(uint8_t* to, uint64_t value, uint32_t digits) {
  for (uint32_t i = digits; i-- > 0; value /= 10) to[i] = static_cast<uint8_t>('0' + value % 10);
  return to + digits;
}

uint8_t* put_plain(uint8_t* to, uint64_t value) {
  uint32_t digits = 1;
  for (uint64_t rest = value / 10; rest; rest /= 10) digits++;
  return put_number(to, value, digits);
}

// The days of the Gregorian calendar, counted in eras of 400 years from a first of March.
uint8_t* put_time(uint8_t* to, Time t) {
  uint64_t days = static_cast<uint64_t>(t.seconds) / 86400 + 719468, second = static_cast<uint64_t>(t.seconds) % 86400;
  uint64_t era = days / 146097, day_of_era = days % 146097;
  uint64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  uint64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
  uint64_t shifted = (5 * day_of_year + 2) / 153;
  uint64_t month = shifted < 10 ? shifted + 3 : shifted - 9;
  to = put_number(to, year + era * 400 + (month <= 2), 4);
  to = put_number(put_text(to, "-"), month, 2);
  to = put_number(put_text(to, "-"), day_of_year - (153 * shifted + 2) / 5 + 1, 2);
  to = put_number(put_text(to, "T"), second / 3600, 2);
  to = put_number(put_text(to, ":"), second / 60 % 60, 2);
  to = put_number(put_text(to, ":"), second % 60, 2);
  to = put_number(put_text(to, "."), static_cast<uint64_t>(t.nanoseconds), 9);
  return put_text(to, "Z");
}

// The oldest segment becomes the newest.
bool advance() {
  uint32_t next = (segment + 1) % segment_count;
  if (sys(__NR_ftruncate, segments[next], 0) < 0) return false;
  segment = next;
  segment_bytes = 0;
  dropped += segment_lines[next];
  segment_lines[next] = 0;
  return true;
}

void flush() {
  if (text_length == 0) return;
  bool fits = segment_bytes + text_length <= segment_bytes_max || segment_bytes == 0 || advance();
  long n = fits ? sys(__NR_write, segments[segment], text, text_length) : -1;
  if (n == static_cast<long>(text_length)) {
    segment_bytes += text_length;
    segment_lines[segment] += text_lines;
  } else {
    // Half a line is none.
    if (n > 0) (void)sys(__NR_ftruncate, segments[segment], segment_bytes);
    dropped += text_lines;
  }
  text_length = text_lines = 0;
}

void add(Source& pipe, char tag, Time when) {
  if (text_length + kPrefixMax + pipe.length > sizeof text) flush();
  uint8_t* begin = text + text_length;
  uint8_t* to = put_text(put_time(begin, when), pipe.name);
  *to++ = static_cast<uint8_t>(tag);
  *to++ = ' ';
  memcpy(to, pipe.line, pipe.length);
  to += pipe.length;
  *to++ = '\n';
  text_length += static_cast<uint32_t>(to - begin);
  text_lines++;
  pipe.length = 0;
}

// Reads once. False when there is nothing to be read for now, or any more.
bool read_once(Source& pipe, uint32_t* count) {
  static uint8_t chunk[kChunk];
  long n = pipe.fd < 0 ? 0 : sys(__NR_read, pipe.fd, chunk, sizeof chunk);
  if (n == -EINTR) return true;
  if (n == -EAGAIN) return false;
  Time when = now();
  if (n <= 0) {
    if (pipe.length > 0) add(pipe, 'F', when);
    if (pipe.fd >= 0) (void)sys(__NR_close, pipe.fd);
    pipe.fd = -1;
    flush();
    return false;
  }
  for (long i = 0; i < n; i++) {
    if (chunk[i] == '\n') {
      add(pipe, 'F', when);
      continue;
    }
    if (pipe.length == kLineMax) add(pipe, 'P', when);
    pipe.line[pipe.length++] = chunk[i];
  }
  flush();
  *count += static_cast<uint32_t>(n);
  return true;
}

}  // namespace

int keep_log(Where& at, const Outliving& what) {
  // A Ctrl-C at the host's terminal, or its end, is not for us.
  int r = check(at, kStepSetsid, sys(__NR_setsid));
  if (r < 0) return r;
  long size = sys(__NR_lseek, what.segments[0], 0, 2);
  if (size < 0) return check(at, kStepWrite, "the log", size);
  segment_bytes = static_cast<uint64_t>(size);
  segment_bytes_max = what.bytes_max;
  segment_count = what.segment_count;
  for (uint32_t i = 0; i < segment_count; i++) segments[i] = what.segments[i];
  pipes[0].fd = what.out, pipes[0].name = " stdout ";
  pipes[1].fd = what.err, pipes[1].name = " stderr ";
  exit_file = what.exit;
  return 0;
}

bool keeps_log() { return segment_count > 0; }

uint32_t log_descriptors(int* to) {
  if (!keeps_log()) return 0;
  for (uint32_t i = 0; i < segment_count; i++) to[i] = segments[i];
  to[segment_count] = pipes[0].fd;
  to[segment_count + 1] = pipes[1].fd;
  to[segment_count + 2] = exit_file;
  return segment_count + 3;
}

int log_pipe(int which) { return keeps_log() ? pipes[which].fd : -1; }

void read_log(int which) {
  uint32_t count = 0;
  (void)read_once(pipes[which], &count);
}

void end_log(int status) {
  for (Source& pipe : pipes) {
    // What is still running may write for ever: no more is read than a pipe holds.
    uint32_t count = 0;
    while (count < kDrainMax && read_once(pipe, &count)) {}
    if (pipe.length > 0) add(pipe, 'F', now());
  }
  flush();
  uint8_t line[96];
  Time when = now();
  uint8_t* to = put_plain(line, static_cast<uint32_t>(status));
  to = put_time(put_text(to, " "), when);
  to = put_plain(put_text(to, " "), dropped);
  to = put_text(to, "\n");
  // The file has its first page already: this can be told on a disk that is full.
  (void)sys(__NR_pwrite64, exit_file, line, to - line, 0);
}

}  // namespace runts
