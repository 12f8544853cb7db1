// SPDX-License-Identifier: Apache-2.0
#include "core/memory.h"

#include <pthread.h>
#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

namespace striate {
namespace {

constexpr size_t kAlign = 64;
constexpr size_t kSmallest = 4096;
constexpr int kClasses = 4 * 52;

// Stands in the 64 bytes before every block.
struct Header {
  size_t bytes;  // capacity of the block
  int size_class;
};
static_assert(sizeof(Header) <= kAlign);

struct Pool {
  std::mutex mutex;
  std::vector<void*> free_blocks[kClasses];
  PoolStats stats{};
  size_t cap = size_t(1) << 30;
};

// Leaked: blocks may be freed by other threads while the process exits.
Pool& pool() {
  static Pool* const instance = [] {
    Pool* made = new Pool;
    pthread_atfork([] { pool().mutex.lock(); }, [] { pool().mutex.unlock(); },
                   [] { pool().mutex.unlock(); });
    return made;
  }();
  return *instance;
}

// Size classes are 4096 * 2^(i/4), with three steps of a quarter between powers of two.
int class_of(size_t bytes, size_t* capacity) {
  if (bytes <= kSmallest) {
    *capacity = kSmallest;
    return 0;
  }
  int log = 63 - __builtin_clzll((bytes - 1) / kSmallest);  // kSmallest << log < bytes
  size_t low = kSmallest << log, step = low / 4;
  size_t quarter = (bytes - low + step - 1) / step;  // 1…4
  *capacity = low + quarter * step;
  return 4 * log + int(quarter);
}

// Asks for huge pages in a large block, as NumPy does for its arrays.
void* in_huge_pages(void* raw, size_t bytes) {
#if defined(MADV_HUGEPAGE)
  constexpr uintptr_t kPage = 4096;
  constexpr size_t kLarge = size_t(4) << 20;
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(raw) + kPage - 1) / kPage * kPage;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(raw) + bytes) / kPage * kPage;
  if (bytes >= kLarge) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_HUGEPAGE);
#endif
  return raw;
}

// To the byte, so that AddressSanitizer sees what is read just past a block.
void* system_allocate(size_t capacity) {
  if (capacity > SIZE_MAX / 2) throw OutOfMemory(capacity);
  const size_t bytes = kAlign + capacity;
  void* raw = nullptr;
  if (posix_memalign(&raw, kAlign, bytes) == 0) return in_huge_pages(raw, bytes);
  pool_trim();  // what we keep for reuse may be what is missing
  if (posix_memalign(&raw, kAlign, bytes) == 0) return in_huge_pages(raw, bytes);
  throw OutOfMemory(capacity);
}

Header* header(void* block) {
  return reinterpret_cast<Header*>(static_cast<char*>(block) - kAlign);
}

void count_in(Pool& p, size_t capacity, bool hit) {
  p.stats.in_use += capacity;
  if (p.stats.in_use > p.stats.peak) p.stats.peak = p.stats.in_use;
  ++(hit ? p.stats.hits : p.stats.misses);
}

std::atomic<size_t> until_failure{0};

void fail_if_asked(size_t bytes) {
  size_t left = until_failure.load(std::memory_order_relaxed);
  while (left > 0 && !until_failure.compare_exchange_weak(left, left - 1)) {
  }
  if (left == 1) throw OutOfMemory(bytes);
}

#if defined(STRIATE_SANITIZED)
constexpr bool kReuse = false;
#else
constexpr bool kReuse = true;
#endif

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes, const char* what) noexcept : bytes_(bytes) {
  std::snprintf(text_, sizeof text_, "%s: expected %zu bytes (%.1f GiB) of free memory", what,
                bytes, double(bytes) / (1 << 30));
}

void* pool_allocate(size_t bytes) {
  if (bytes > SIZE_MAX / 4) throw OutOfMemory(bytes);
  fail_if_asked(bytes);
  size_t capacity;
  int size_class = class_of(bytes, &capacity);
  if (!kReuse) capacity = bytes;
  Pool& p = pool();
  {
    std::lock_guard<std::mutex> hold(p.mutex);
    auto& list = p.free_blocks[size_class];
    if (!list.empty()) {
      void* block = list.back();
      list.pop_back();
      p.stats.cached -= capacity;
      count_in(p, capacity, true);
      return block;
    }
  }
  char* raw = static_cast<char*>(system_allocate(capacity));
  void* block = raw + kAlign;
  *header(block) = {capacity, size_class};
  std::lock_guard<std::mutex> hold(p.mutex);
  count_in(p, capacity, false);
  return block;
}

void pool_free(void* block) noexcept {
  if (block == nullptr) return;
  Header* h = header(block);
  Pool& p = pool();
  {
    std::lock_guard<std::mutex> hold(p.mutex);
    p.stats.in_use -= h->bytes;
    if (kReuse && p.stats.cached + h->bytes <= p.cap) {
      try {
        p.free_blocks[h->size_class].push_back(block);
        p.stats.cached += h->bytes;
        return;
      } catch (const std::bad_alloc&) {  // no room to remember it: give it back below
      }
    }
  }
  std::free(h);
}

PoolStats pool_stats() {
  std::lock_guard<std::mutex> hold(pool().mutex);
  return pool().stats;
}

void pool_reset_peak() {
  std::lock_guard<std::mutex> hold(pool().mutex);
  pool().stats.peak = pool().stats.in_use;
}

void pool_trim() {
  Pool& p = pool();
  std::lock_guard<std::mutex> hold(p.mutex);
  for (auto& list : p.free_blocks) {
    for (void* block : list) std::free(header(block));
    list.clear();
  }
  p.stats.cached = 0;
}

size_t pool_fail_at(size_t n) { return until_failure.exchange(n); }

void pool_set_cap(size_t bytes) {
  {
    std::lock_guard<std::mutex> hold(pool().mutex);
    pool().cap = bytes;
    if (pool().stats.cached <= bytes) return;
  }
  pool_trim();
}

}  // namespace striate
