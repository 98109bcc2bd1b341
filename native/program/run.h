// The loop over the ops of a verified program.
#pragma once
#include "../ops/result.h"
#include "format.h"

namespace runts {

struct Failure {
  uint32_t op;
  uint16_t code;
  int error;  // a positive errno
  Where where;
};

// Runs a program until it ends: halt and next_program give true, an op that fails gives false and fills *failure. A program that ends in
// exec does not come back. `handles` are the registers that the host has filled.
bool run(const uint8_t* program, const int* handles, Failure* failure);

}  // namespace runts
