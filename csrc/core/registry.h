// SPDX-License-Identifier: Apache-2.0
// Tables of kernels and methods.
//
// Each op has two: `kernels.inc`, its single-threaded kernels, and `methods.inc`, its driver
// routines. A row is data: adding a kernel is one file and one row. Rows that this machine can't
// run stay listed with the reason and are never chosen.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <string>
#include <vector>

#include "core/isa.h"

// STRIATE_WITH_<isa>(row) is the row where the architecture has the ISA, and nothing elsewhere.
#define STRIATE_WITH_scalar(...) __VA_ARGS__
#if defined(__x86_64__)
#define STRIATE_WITH_avx2(...) __VA_ARGS__
#define STRIATE_WITH_avx512(...) __VA_ARGS__
#define STRIATE_WITH_avx512bf16(...) __VA_ARGS__
#else
#define STRIATE_WITH_avx2(...)
#define STRIATE_WITH_avx512(...)
#define STRIATE_WITH_avx512bf16(...)
#endif

namespace striate {

// The upper half of a float32. Casts, products and 2-D convolutions know it; every other op sees
// f32 and f64.
struct bfloat16 {
  uint16_t bits;
};

enum class Dtype { f32, f64, bf16 };
constexpr int kDtypeCount = 3;
const char* dtype_name(Dtype dtype);  // "float32", "float64", "bfloat16"
inline size_t item_size(Dtype dtype) {
  return dtype == Dtype::f32 ? 4 : dtype == Dtype::f64 ? 8 : 2;
}
template <class T>
constexpr Dtype dtype_of = sizeof(T) == 4   ? Dtype::f32
                           : sizeof(T) == 8 ? Dtype::f64
                                            : Dtype::bf16;

// What every row of every table begins with. `variant` is the op's own number for what the row
// computes (pass, activation, …); rows with equal dtype and variant stand in for each other.
struct Row {
  const char* op;
  const char* kind;  // "kernel" or "method"
  const char* name;
  Dtype dtype;
  Isa isa;
  int variant;
};

// A row of `kernels.inc`. Its function's type is the op's own; as<Fn>() gives it back.
struct Kernel : Row {
  void (*function)();
  template <class Fn>
  Fn* as() const {
    return reinterpret_cast<Fn*>(function);
  }
};

// The table entry of a kernel, to be written in an op's driver as
//   #define ROW(name, T, isa) STRIATE_KERNEL(layout, name, T, isa, 0)
#define STRIATE_KERNEL(op, name, T, isa, variant)                                              \
  STRIATE_WITH_##isa(Kernel{{#op, "kernel", #name, ::striate::dtype_of<T>, Isa::isa, variant}, \
                            reinterpret_cast<void (*)()>(static_cast<decltype(&name)>(name))}, )

// While one lives, this thread's drivers use the named rows wherever a table has them; other
// choices are as usual. Pins nest: an inner one decides where it names a row, the outer ones where
// it does not. For tests and benchmarks, which call every row by name.
class PinRows {
 public:
  explicit PinRows(std::vector<std::string> names);
  ~PinRows();
  PinRows(const PinRows&) = delete;
  PinRows& operator=(const PinRows&) = delete;
  static const PinRows* innermost();  // null if there is none
  const PinRows* outer() const { return outer_; }
  bool names(const char* row) const;

 private:
  std::vector<std::string> names_;
  const PinRows* outer_;
};

class TableBase {
 public:
  virtual size_t size() const = 0;
  virtual const Row& row(size_t index) const = 0;
  static std::vector<const TableBase*> all();  // every table in the process, by op

 protected:
  TableBase();
  ~TableBase() = default;
  // "No kernel …", with every row that could have served and why it can't run.
  [[noreturn]] void fail(Dtype dtype, int variant) const;
};

// A table is a namespace-scope constant of the op's driver. Entry derives from Row.
template <class Entry>
class Table final : public TableBase {
 public:
  Table(std::initializer_list<Entry> entries) : entries_(entries) {}
  size_t size() const override { return entries_.size(); }
  const Row& row(size_t index) const override { return entries_[index]; }

  // Runnable entries for (dtype, variant), the preferred one first: later ISA, then table order.
  // Pinned entries, if there are any among them, alone. Remembered, so that a call costs a look
  // into an array; valid until this thread's next call.
  const std::vector<const Entry*>& runnable(Dtype dtype, int variant) const {
    const std::vector<const Entry*>& ranked = rank(dtype, variant);
    thread_local std::vector<const Entry*> pinned;
    for (const PinRows* pin = PinRows::innermost(); pin != nullptr; pin = pin->outer()) {
      pinned.clear();
      for (const Entry* e : ranked)
        if (pin->names(e->name)) pinned.push_back(e);
      if (!pinned.empty()) return pinned;
    }
    return ranked;
  }

  const Entry& best(Dtype dtype, int variant) const { return *runnable(dtype, variant).front(); }

 private:
  static size_t key(Dtype dtype, int variant) {
    return size_t(variant) * kDtypeCount + size_t(dtype);
  }

  const std::vector<const Entry*>& rank(Dtype dtype, int variant) const {
    if (!ready_.load(std::memory_order_acquire)) fill();
    size_t at = key(dtype, variant);
    if (at >= ranked_.size() || ranked_[at].empty()) fail(dtype, variant);
    return ranked_[at];
  }

  void fill() const {
    std::lock_guard<std::mutex> hold(mutex_);
    if (ready_.load(std::memory_order_relaxed)) return;
    std::vector<std::vector<const Entry*>> ranked;
    for (int isa = kIsaCount - 1; isa >= 0; --isa) {
      if (!isa_why_not(Isa(isa)).empty()) continue;
      for (const Entry& e : entries_) {
        if (int(e.isa) != isa) continue;
        size_t at = key(e.dtype, e.variant);
        if (ranked.size() <= at) ranked.resize(at + 1);
        ranked[at].push_back(&e);
      }
    }
    ranked_ = std::move(ranked);
    ready_.store(true, std::memory_order_release);
  }

  std::vector<Entry> entries_;
  mutable std::mutex mutex_;
  mutable std::atomic<bool> ready_{false};
  mutable std::vector<std::vector<const Entry*>> ranked_;
};

}  // namespace striate
