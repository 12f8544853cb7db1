// SPDX-License-Identifier: Apache-2.0
#include "block.h"

#include <sys/mman.h>
#include <ucontext.h>

#include "shared_memory.h"

namespace shim {
namespace {

constexpr size_t kStack = 128 << 10, kPage = 4096;
constexpr int kMostThreads = 1024;

// All stacks in one piece, each above a page that can't be touched. Such a page splits a mapping,
// of which a process has some 65,000 for all libraries: those of threads that ran are closed.
char* stack_of(int thread) {
  static char* const stacks =
      static_cast<char*>(mmap(nullptr, kStack * kMostThreads, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  static int closed = 0;
  for (; closed <= thread; ++closed) mprotect(stacks + kStack * closed, kPage, PROT_NONE);
  return stacks + kStack * thread + kPage;
}

}  // namespace

Block& block() {
  static Block one;
  return one;
}

// The first time by ucontext, which gives a thread its stack; then by setjmp and longjmp, which,
// not asking the kernel for the signal mask, take some 10 ns.
void Block::enter() {
  Block& b = block();
  b.body_(b.argument_);
  b.wait(State::done, "its end", 0);
}

void Block::start(Thread& thread, void (*body)(void*), void* argument) {
  body_ = body, argument_ = argument;
  running = &thread;
  if (_setjmp(scheduler_)) return;
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = stack_of(thread.number);
  context.uc_stack.ss_size = kStack - kPage;
  context.uc_link = nullptr;
  makecontext(&context, enter, 0);
  setcontext(&context);
}

void Block::resume(Thread& thread) {
  running = &thread;
  if (!_setjmp(scheduler_)) _longjmp(thread.point, 1);
}

void Block::wait(State state, const char* where, int line) {
  Thread& thread = *running;
  thread.state = state, thread.where = where, thread.line = line;
  if (!_setjmp(thread.point)) _longjmp(scheduler_, 1);
}

void Block::run(void (*body)(void*), void* argument, bool reversed) {
  const int count = int(size.x * size.y * size.z);
  if (count > kMostThreads) fail("%d threads in a block", count);
  vote_ = last_vote_ = false;
  threads.assign(count, Thread{});
  meetings_.assign((count + kWarp - 1) / kWarp, {});
  warp_syncs.assign(meetings_.size(), 0);
  barriers = 1;
  for (int i = 0; i < count; ++i) {
    const unsigned n = unsigned(i);
    threads[i].number = i;
    threads[i].index = {n % size.x, n / size.x % size.y, n / (size.x * size.y)};
  }
  bool started = false;
  for (int done = 0; done < count; started = true) {
    bool moved = false;
    for (int k = 0; k < count; ++k) {
      Thread& thread = threads[reversed ? count - 1 - k : k];
      if (thread.state != State::ready) continue;
      started ? resume(thread) : start(thread, body, argument);
      moved = true;
      done += thread.state == State::done;
    }
    if (!moved && !pass_barrier()) explain_deadlock();
  }
  running = nullptr;
  shared_memory().end_of_phase();
}

void Block::barrier(const char* file, int line) { wait(State::at_barrier, file, line); }

bool Block::barrier_or(bool vote, const char* file, int line) {
  vote_ |= vote;
  barrier(file, line);
  return last_vote_;
}

// When nobody can go on: if all who are left stand at one barrier, it opens.
bool Block::pass_barrier() {
  const Thread* first = nullptr;
  for (const Thread& t : threads) {
    if (t.state == State::meeting) return false;
    if (t.state == State::at_barrier && !first) first = &t;
  }
  for (const Thread& t : threads) {
    running = &threads[t.number];
    if (t.state == State::done)
      fail("divergent barrier: thread %d has ended, thread %d waits at %s:%d", t.number,
           first->number, first->where, first->line);
    if (t.line != first->line || std::strcmp(t.where, first->where) != 0)
      fail("divergent barrier: thread %d waits at %s:%d, thread %d at %s:%d", t.number, t.where,
           t.line, first->number, first->where, first->line);
  }
  shared_memory().end_of_phase();
  ++barriers;
  last_vote_ = vote_, vote_ = false;
  for (Thread& t : threads) t.state = State::ready;
  return true;
}

void Block::explain_deadlock() {
  for (Thread& t : threads) {
    if (t.state != State::meeting) continue;
    for (const Thread& other : threads) {
      if (other.warp() != t.warp() || other.state == State::meeting) continue;
      running = &t;
      fail("%s waits for lane %d, which %s", t.where, other.lane(),
           other.state == State::done ? "has ended" : "is at a barrier");
    }
  }
  for (Thread& t : threads) {
    if (t.state != State::meeting) continue;
    running = &t;
    fail("%s waits for lanes of its mask that wait elsewhere", t.where);
  }
}

// Under a full mask this orders the warp's accesses to memory.
void Block::warp_synced(unsigned mask) {
  const int warp = running->warp();
  const int lanes = int(threads.size()) - warp * kWarp;
  const unsigned all = lanes >= kWarp ? 0xffffffffu : (1u << lanes) - 1;
  if ((mask & all) == all) ++warp_syncs[warp];
}

bool Block::arrive(const char* what, unsigned mask, void* operand, Meeting** meeting) {
  Thread& t = *running;
  const unsigned bit = 1u << t.lane();
  const int left = int(threads.size()) - t.warp() * kWarp;
  if (left < kWarp) mask &= (1u << left) - 1;
  if (!(mask & bit)) fail("%s by lane %d, which is not in its mask %08x", what, t.lane(), mask);
  auto& open = meetings_[t.warp()];
  open.reserve(
      kWarp);  // a meeting is waited for by a lane at least, so there are no more: they stay
  Meeting* m = nullptr;
  for (Meeting& other : open)
    if (other.mask == mask || (!m && !other.arrived)) m = &other;
  if (!m) m = &open.emplace_back(Meeting{what, mask, 0, {}});
  m->mask = mask;
  if (m->arrived && std::strcmp(m->what, what) != 0)
    fail("lane %d is at %s, others of its mask at %s", t.lane(), what, m->what);
  m->what = what, m->arrived |= bit, m->operand[t.lane()] = operand;
  *meeting = m;
  if (m->arrived == mask) return true;
  wait(State::meeting, what, 0);
  return false;
}

void Block::leave(Meeting& meeting) {
  const int warp = running->warp();
  shared_memory().end_of_instructions(warp, meeting.mask);
  for (int lane = 0; lane < kWarp; ++lane)
    if (meeting.mask >> lane & 1) threads[warp * kWarp + lane].state = State::ready;
  meeting.arrived = 0;
  std::memset(meeting.operand, 0, sizeof meeting.operand);
}

}  // namespace shim
