// SPDX-License-Identifier: Apache-2.0
// A block of threads. Each is a fiber, which runs until it has to wait for others: at a barrier, or
// where the lanes of a warp meet (shuffles, votes, ldmatrix, mma).
#pragma once
#include <csetjmp>
#include <cstdint>
#include <cstring>
#include <vector>

namespace shim {

constexpr int kWarp = 32;

struct Dim3 {
  unsigned x, y, z;
};

template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

// Ends the launch; the message is its result, with kernel, block and thread before it.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

enum class State { ready, at_barrier, meeting, done };

struct Thread {
  int number;  // in its block
  Dim3 index;
  State state;
  const char* where;  // what it waits for: the barrier's file, or the meeting's name
  int line;
  std::jmp_buf point;

  int warp() const { return number / kWarp; }
  int lane() const { return number % kWarp; }
};

// Lanes of a warp that wait for the rest of their mask.
struct Meeting {
  const char* what;
  unsigned mask, arrived;
  void* operand[kWarp];  // null where a lane is not in the mask
};

class Block {
 public:
  Dim3 index, size, grid;
  std::vector<Thread> threads;
  Thread* running = nullptr;
  uint32_t barriers = 1;             // passed by the block so far, and one
  std::vector<uint32_t> warp_syncs;  // passed by each warp

  // Runs all threads of the block to their end.
  void run(void (*body)(void*), void* argument, bool reversed);

  void barrier(const char* file, int line);
  bool barrier_or(bool vote, const char* file, int line);
  void warp_synced(unsigned mask);
  // The meeting of the running thread's warp under this mask; true for the last lane to come.
  bool arrive(const char* what, unsigned mask, void* operand, Meeting** meeting);
  void leave(Meeting& meeting);  // the others may go on

 private:
  void start(Thread& thread, void (*body)(void*), void* argument);
  void resume(Thread& thread);
  void wait(State state, const char* where, int line);
  bool pass_barrier();
  void explain_deadlock();
  static void enter();

  std::vector<std::vector<Meeting>> meetings_;  // by warp
  bool vote_ = false, last_vote_ = false;       // of barrier_or: coming in, and what came out
  std::jmp_buf scheduler_;
  void (*body_)(void*);
  void* argument_;
};

Block& block();
inline Thread& self() { return *block().running; }

// All lanes of `mask` come here; the last one computes for all, from and into their operands.
template <class Compute>
void meet(const char* what, unsigned mask, void* operand, Compute compute) {
  Meeting* meeting;
  char present;
  if (!block().arrive(what, mask, operand ? operand : &present, &meeting)) return;
  compute(meeting->operand);
  block().leave(*meeting);
}

}  // namespace shim
