// SPDX-License-Identifier: Apache-2.0
// The words of csrc/cuda/device/memory.cuh, checked.
#pragma once
#include "cuda/device/types.cuh"

namespace striate {

template <class T>
struct alignas(16) Pack {
  static constexpr int size = 16 / sizeof(T);
  T at[size];
};

template <class T>
inline bool aligned16(const T* p) {
  return reinterpret_cast<uintptr_t>(p) % 16 == 0;
}

template <class T>
inline Pack<T> load16(const T* p) {
  shim::global_memory().check(p, 16, 16, "load16");
  Pack<T> x;
  std::memcpy(&x, p, 16);
  return x;
}
template <class T>
inline void store16(T* p, Pack<T> x) {
  shim::global_memory().check(p, 16, 16, "store16");
  std::memcpy(p, &x, 16);
}

template <int W, class T>
struct alignas(sizeof(T) * W) Run {
  T at[W];
};

template <int W, class T>
inline Run<W, T> load_run(const T* p) {
  shim::global_memory().check(p, sizeof(Run<W, T>), sizeof(Run<W, T>), "load_run");
  Run<W, T> x;
  std::memcpy(&x, p, sizeof x);
  return x;
}
template <int W, class T>
inline void store_run(T* p, Run<W, T> x) {
  shim::global_memory().check(p, sizeof x, sizeof x, "store_run");
  std::memcpy(p, &x, sizeof x);
}

// An element of shared memory, which is read and written through the detector.
template <class T>
class SharedElement {
 public:
  explicit SharedElement(int offset) : offset_(offset) {}
  operator T() const {
    T x;
    shim::shared_memory().read(offset_, sizeof(T), &x);
    return x;
  }
  SharedElement& operator=(T x) {
    shim::shared_memory().write(offset_, sizeof(T), &x);
    return *this;
  }
  SharedElement& operator=(const SharedElement& other) { return *this = T(other); }
  SharedElement(const SharedElement&) = default;

 private:
  int offset_;
};

// An array in shared memory, and a place in it.
template <class T>
class Shared {
 public:
  Shared(int begin, int bytes) : at_(begin), begin_(begin), end_(begin + bytes) {}
  SharedElement<T> operator[](int i) const { return SharedElement<T>(offset(i, sizeof(T))); }
  SharedElement<T> operator*() const { return (*this)[0]; }
  Shared operator+(int i) const {
    Shared moved = *this;
    moved.at_ += i * int(sizeof(T));
    return moved;
  }
  // Of `bytes` from element i on, which must all be in the array.
  int offset(int i, int bytes) const {
    const int at = at_ + i * int(sizeof(T));
    if (at < begin_ || at + bytes > end_)
      shim::fail("shared array of %d elements, element %d (%d bytes)",
                 (end_ - begin_) / int(sizeof(T)), (at - begin_) / int(sizeof(T)), bytes);
    return at;
  }

 private:
  int at_, begin_, end_;
};

template <class T>
inline Pack<T> load16(Shared<T> p) {
  Pack<T> x;
  shim::shared_memory().read(p.offset(0, 16), 16, &x);
  return x;
}
template <class T>
inline void store16(Shared<T> p, Pack<T> x) {
  shim::shared_memory().write(p.offset(0, 16), 16, &x);
}

#define STRIATE_SHARED(T, name, count)                                                           \
  static const char name##_key = 0;                                                              \
  const int name##_bytes = int(sizeof(T)) * (count);                                             \
  const ::striate::Shared<T> name(shim::shared_memory().static_array(&name##_key, name##_bytes), \
                                  name##_bytes)

template <class T>
inline Shared<T> dynamic_shared(int first_byte, int count) {
  const int bytes = count * int(sizeof(T));
  if (first_byte + bytes > shim::shared_memory().dynamic_bytes())
    shim::fail("%d bytes of dynamic shared memory, launched with %d", first_byte + bytes,
               shim::shared_memory().dynamic_bytes());
  return Shared<T>(first_byte, bytes);
}

}  // namespace striate
