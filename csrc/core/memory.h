// SPDX-License-Identifier: Apache-2.0
// One pool of 64-byte aligned blocks for results and workspaces.
//
// Blocks come in size classes (four a power of two), are kept when freed, up to a cap, and may be
// freed by any thread. Fresh pages cost more than most kernels, so reuse is what makes large
// results cheap. Nothing is returned at exit (threads may still hold blocks), and under sanitizers
// every block is malloc's own, so that a use after free is seen.
#pragma once
#include <cstddef>
#include <cstdint>
#include <new>

#include "core/check.h"

namespace striate {

// What the pool throws: says how much was wanted, and for what. Its text lies inside, since there
// may be no memory for another.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes, const char* what = "working space") noexcept;
  const char* what() const noexcept override { return text_; }
  size_t bytes() const noexcept { return bytes_; }

 private:
  size_t bytes_;
  char text_[256];
};

void* pool_allocate(size_t bytes);  // throws OutOfMemory; never null
void pool_free(void* block) noexcept;

struct PoolStats {
  size_t in_use;  // bytes handed out now
  size_t cached;  // bytes kept for reuse
  size_t peak;    // largest in_use since the last reset
  size_t hits, misses;
};
PoolStats pool_stats();
void pool_reset_peak();
void pool_trim();                 // gives every cached block back to the system
void pool_set_cap(size_t bytes);  // most bytes kept for reuse (default 1 GiB)

// The n-th request from now on throws OutOfMemory, as if memory were out; 0: none does. Returns
// how many requests were left until then: 0 if it came to pass. For tests.
size_t pool_fail_at(size_t n);

// Bytes from which on a result goes past the caches, where its driver decides: 64 parts of those
// that simd/write.h has go past them.
constexpr ptrdiff_t kPastCachesBytes = ptrdiff_t(1) << 24;

// Scratch memory for a driver: uninitialised, gone at the end of the scope.
template <class T>
class Workspace {
 public:
  explicit Workspace(size_t count) : data_(static_cast<T*>(allocate(count))), size_(count) {}
  ~Workspace() { pool_free(data_); }
  Workspace(Workspace&& other) noexcept : data_(other.data_), size_(other.size_) {
    other.data_ = nullptr;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;
  T* data() { return data_; }
  T& operator[](size_t i) { return data_[i]; }
  size_t size() const { return size_; }

 private:
  static void* allocate(size_t count) {
    size_t bytes;
    if (__builtin_mul_overflow(count, sizeof(T), &bytes)) throw OutOfMemory(SIZE_MAX);
    return pool_allocate(bytes);
  }
  T* data_;
  size_t size_;
};

}  // namespace striate
