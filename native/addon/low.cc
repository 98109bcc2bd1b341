#include "low.h"

#include <fcntl.h>

#include <atomic>
#include <mutex>

namespace runts {

namespace {

constexpr int kPairs = 4;   // for as many threads as usually clone at a time; others do without
constexpr int kMany = 128;  // with fewer it is not worth it
constexpr int kFirst = 4;   // 0 to 3 are those of the child

std::once_flag reserving;
int spare;  // what is in all of them while nobody has them
int kept[2 * kPairs];
std::atomic<bool> taken[kPairs];
std::atomic<int> end{0};  // the number after the last; 0: there are none

}  // namespace

void Low::reserve(int image) {
  std::call_once(reserving, [image] {
    auto copy = [image] { return static_cast<int>(sys(__NR_fcntl, image, F_DUPFD_CLOEXEC, kFirst)); };
    int most = spare = copy();
    if (spare < 0) return;
    for (int& each : kept) {
      each = copy();
      if (each < 0) return;
      if (each > most) most = each;
    }
    end = most + 1;
  });
}

Low::Low(int channel, int image) {
  int after = end;
  if (after == 0 || image < 0 || image >= after || channel < kMany || channel < after) return;
  for (int i = 0; i < kPairs && pair_ < 0; i++) {
    if (!taken[i].exchange(true)) pair_ = i;
  }
  if (pair_ >= 0) seats_ = {kept[2 * pair_], kept[2 * pair_ + 1], after};
}

Low::~Low() {
  if (pair_ < 0) return;
  // This closes what was put there: the other end of a channel is to hear of its end.
  for (int each : {seats_.null, seats_.channel}) (void)sys(__NR_dup3, spare, each, O_CLOEXEC);
  taken[pair_] = false;
}

}  // namespace runts
