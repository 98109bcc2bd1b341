// Staying with an init for a while: many are over before it would have been told that they began.
#pragma once
#include <napi.h>

#include <vector>

#include "clone.h"
#include "hear.h"

namespace runts {

// What became of an init meanwhile.
struct Story {
  std::vector<Heard> messages;
  // Whether it has ended, and so has whoever took its place (FORKED): all of them are collected then.
  bool ended = false;
  // Whether no descriptor came with anything that it said: then all of it is frames.
  bool plain() const;
  int pid = 0;
  // Of the pipes that it wrote to, where nobody else has one any more: all that is in it, which closes it.
  std::vector<std::vector<uint8_t>> written;
  // CLD_*, and the exit code or the signal; 0 where somebody else has collected it.
  int how = 0, status = 0;
};

// Hears what an init says, for at most so many milliseconds, or until it says something that is to be acted upon. It is let go
// when it says how its command has ended (EXIT). Of one that is to be followed by so many children, one after the other (FORKED), only
// the end of the last is waited for then: who waits at its channel is woken by the exec, on the processor where the command begins;
// and where all are over, nobody is told of those. On a thread of the pool, of which it leaves others enough: it may stay for no time
// at all.
void stay(int channel, const Spawned& init, uint32_t milliseconds, uint32_t children, Story* story);

// Ends an init that nobody took over, and the children that it has told of. One that goes on in a child is not killed before it has
// told of that: nobody would collect it.
void abandon(int channel, Spawned* init, uint32_t children, Story* story);

// Reads what one that is over has written, from each of these pipes that nobody writes to any more; it is closed then.
void read_outputs(std::vector<Fd>* outputs, Story* story);

// {messages: [{bytes, handles}], ended: {code, signal} | undefined}, put into an object.
void tell(Napi::Env env, Story* story, Napi::Object to);
// Of a plain one that has ended, to whoever waits for it: the pid, its frames, the code, the signal; and of each output all that
// was written, undefined for nothing, or its end to read from.
void tell_plainly(Napi::Env env, const Story& story, std::vector<Fd>* outputs, const Napi::FunctionReference& to);

}  // namespace runts
