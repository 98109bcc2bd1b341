// A directory's content in another place.
#pragma once
#include "result.h"

namespace runts {

// Copies what is below `source` into `target`: owners, modes, times and attributes as far as we may set them, and
// entries that are there already stay. Follows no link, enters no mount. The detail of a failure is the entry's name.
int copy_tree(Where& at, int source, int target);

}  // namespace runts
