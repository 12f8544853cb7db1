// SPDX-License-Identifier: Apache-2.0
// Our own small thread pool (libgomp hangs in a child after fork).
//
// Workers start at first use, spin for at most 20 us between jobs and then sleep. A parallel region
// inside another, or one that finds the pool busy, runs on the calling thread alone. A forked child
// starts a new pool. Which thread runs which part never changes a result: parts are cut by the
// caller, not by the number of threads.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace striate {

// STRIATE_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs that affinity and the cgroup grant.
int num_threads();
int threads_here();               // those of a region that begins here: inside another, one
void set_num_threads(int count);  // throws std::invalid_argument below 1 or above 1024

// `check` is called between parts, on each thread that runs them, about ten times a second. What it
// throws ends the region and reaches the caller, so that long work can be interrupted.
void set_interrupt_check(void (*check)());

namespace detail {
using Body = void (*)(void* context, ptrdiff_t part);
void run_parts(ptrdiff_t parts, Body body, void* context);
}  // namespace detail

// Calls body(part) for every part in [0, parts), shared between the threads, denormals flushed. The
// first exception of any thread reaches the caller, after all threads have stopped.
template <class F>
void parallel_for(ptrdiff_t parts, F&& body) {
  using Function = std::remove_reference_t<F>;
  auto call = [](void* f, ptrdiff_t part) { (*static_cast<Function*>(f))(part); };
  detail::run_parts(parts, call, const_cast<void*>(static_cast<const void*>(&body)));
}

// Cuts [0, n) into ranges of at least `grain` (a multiple of `multiple`, the last one apart) and
// calls body(begin, end) on them. For kernels whose elements do not depend on each other. `longest`
// is for elements of so much work that an interrupt would wait for a 64th of them.
template <class F>
void parallel_ranges(ptrdiff_t n, ptrdiff_t grain, ptrdiff_t multiple, F&& body,
                     ptrdiff_t longest = PTRDIFF_MAX) {
  if (n <= 0) return;
  ptrdiff_t most = 4 * ptrdiff_t(num_threads());
  if (most < 64) most = 64;  // an interrupt waits for the end of a part
  ptrdiff_t size = (n + most - 1) / most;
  if (size > longest) size = longest;
  if (size < grain) size = grain;
  size = (size + multiple - 1) / multiple * multiple;
  parallel_for((n + size - 1) / size, [&](ptrdiff_t part) {
    ptrdiff_t begin = part * size, end = begin + size < n ? begin + size : n;
    body(begin, end);
  });
}

}  // namespace striate
