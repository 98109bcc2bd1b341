// Ops that run something, or become it: they are about processes and what these inherit.
#pragma once
#include "../ops/result.h"
#include "operands.h"

namespace runts {

Frame frame_of(FrameKind kind, uint32_t tag, uint64_t value);

int run_fork(Where& at);
int run_outlive(Where& at, const Operands& o);
int run_reap(Where& at, const Op* op);
int run_hook(Where& at, const Operands& o);
int run_descriptors(Where& at, const Operands& o);
int run_keep_only(Where& at, const Operands& o);
int run_find(Where& at, const Operands& o);
int run_exec(Where& at, const Operands& o);

}  // namespace runts
