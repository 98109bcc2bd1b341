#pragma once

namespace runts {

[[noreturn]] void leave(int code);

// What an init does from its first instruction on, or from its fork.
[[noreturn]] void serve();

}  // namespace runts

extern "C" [[noreturn]] void init_main();
