// The image of the arena as the file has it: most of it is zeros, and numbers that are smaller than their place. Everything
// is unpacked at once when the program starts, which takes a third of what it takes the kernel to copy page by page what is
// then written to.
#pragma once
#include <stddef.h>
#include <stdio.h>

namespace runts {

// Of memory whose size is a multiple of 16.
bool write_packed(FILE* file, const char* from, size_t size);

// To memory that is all zeros, unless there is nothing in the file; false, with the reason printed, where it cannot be done.
bool unpack(char* to);

}  // namespace runts
