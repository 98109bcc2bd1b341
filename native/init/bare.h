#pragma once

namespace runts {

[[noreturn]] void leave(int code);

}  // namespace runts

extern "C" [[noreturn]] void init_main();
