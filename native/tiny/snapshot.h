// The memory of an engine that has loaded the core, as a part of the file. It is made once, when the program is built, by
// the program itself while it has none; addresses of functions and constants in it are this program's and no other's.
#pragma once
#include "arena.h"

namespace runts {

// Loads the bytecode in a file, and writes the arena to another. Gives an exit code.
int make_snapshot(const char* code, const char* to);

// The context of the snapshot, which its head tells of; null, with the reason printed, where it is not this program's.
JSContext* open_snapshot();

// Tells of the exception that is pending, which only we can have caused, and gives our exit code.
int broken(JSContext* js);

enum { kOwnFailure = 125 };

}  // namespace runts
