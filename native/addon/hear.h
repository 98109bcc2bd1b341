// What an init says, on a thread that may wait for it.
#pragma once
#include <stdint.h>

#include <vector>

#include "../ops/result.h"
#include "../program/format.h"

namespace runts {

struct Heard {
  std::vector<uint8_t> bytes;
  std::vector<Fd> fds;
};

class Patience {
 public:
  explicit Patience(uint32_t milliseconds);

  // Whether there is something to be had from a descriptor while there is time.
  bool outlasts(int fd) const;

 private:
  int64_t until_;
};

// Of what it says; 0 of what is too short to have one.
uint32_t kind_of(const Heard& heard);
// Of a message of that size.
Frame frame_in(const Heard& heard);

enum class Got { kMessage, kNothing, kEnd };

// The next message, as far as there is one: empty where there will be. What does not arrive whole stays where it is, for the event
// loop to say what is wrong with it.
Got receive(int channel, Heard* heard);

// Kills and collects so many processes that it tells of (FORKED), where no descriptor is left to know them by. They are our children,
// so that their numbers are their own until then. Of what was forked nobody is killed before it is known.
void end_by_number(int channel, const Patience& patience, uint32_t count);

}  // namespace runts
