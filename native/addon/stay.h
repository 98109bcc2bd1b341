// Staying with an init for a while: many are over before it would have been told that they began.
#pragma once
#include <napi.h>

#include <vector>

#include "../ops/result.h"

namespace runts {

struct Heard {
  std::vector<uint8_t> bytes;
  std::vector<Fd> fds;
};

// What became of an init meanwhile.
struct Story {
  std::vector<Heard> messages;
  // Whether it has ended, and so has whoever took its place (FORKED): all of them are collected then.
  bool ended = false;
  // Whether no descriptor came with anything that it said: then all of it is frames.
  bool plain() const;
  // CLD_*, and the exit code or the signal; 0 where somebody else has collected it.
  int how = 0, status = 0;
};

// Hears what an init says, for at most so many milliseconds, or until it says something that is to be acted upon. It is let go
// when it says how its command has ended (EXIT). On a thread of the pool, of which it leaves others enough: it may stay for no
// time at all.
void stay(int channel, int process, uint32_t milliseconds, Story* story);

// {messages: [{bytes, handles}], ended: {code, signal} | undefined}, put into an object.
void tell(Napi::Env env, Story* story, Napi::Object to);
// Of a plain one that has ended, to whoever waits for it: the pid, its frames, the code, the signal.
void tell_plainly(Napi::Env env, const Story& story, int pid, const Napi::FunctionReference& to);

}  // namespace runts
