// What a command writes, kept in files by a process 1 that outlives the host.
#pragma once
#include "../ops/result.h"
#include "../program/link.h"

namespace runts {

// Takes the pipes and files over from op `outlive`. They stay what they are in the command's side, which closes them.
int keep_log(Where& at, const Outliving& what);

// Whether there was such an op.
bool keeps_log();

// Copies the descriptors that must stay open to `to`, and gives how many there are.
uint32_t log_descriptors(int* to);

// The pipes to be polled; -1 for one that has ended.
int log_pipe(int which);

// Reads some of a pipe into the log.
void read_log(int which);

// Reads what is left, and notes how the command ended.
void end_log(int status);

}  // namespace runts
