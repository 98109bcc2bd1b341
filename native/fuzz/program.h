// Programs as inputs: made well-formed enough to be looked at in depth, and changed op by op.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace runts {

// Where the program in an input ends: what follows are answers of the kernel. 0: there is none.
size_t program_size(const uint8_t* input, size_t size);

// Makes the header true of what follows it: a corpus outlives the table of ops that it was made with.
void repair(uint8_t* program, size_t size);

// Changes an op, an operand or the data of a program in place.
void change(uint8_t* program, size_t size, unsigned seed);

// Reads every operand of a program that was accepted in the way run.cc does.
void read_all(const uint8_t* program);

}  // namespace runts
