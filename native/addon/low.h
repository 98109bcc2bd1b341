// Descriptors with low numbers for the clone of an init. Its table of them ends there: otherwise all that the program has open is
// copied for the child, and closed at its exec, at 0.1 to 0.2 µs each.
#pragma once
#include "clone.h"

namespace runts {

class Low {
 public:
  // Keeps some for the whole process, once: as early as can be, for what is open by then is below them. They lead to the image.
  static void reserve(int image);

  // Has two of them until its end, where there are any, and the number of a channel says that many are open.
  Low(int channel, int image);
  ~Low();
  Low(const Low&) = delete;

  // Null without them.
  const Seats* seats() const { return pair_ < 0 ? nullptr : &seats_; }

 private:
  int pair_ = -1;
  Seats seats_ = {};
};

}  // namespace runts
