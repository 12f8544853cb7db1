// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding/embedding.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define TAKE(name, T, isa, what) STRIATE_KERNEL(embedding, name, T, isa, int(Embedding::what))
#define SUM TAKE
#define MAX TAKE
#include "ops/embedding/kernels.inc"
#undef TAKE
#undef SUM
#undef MAX
};

constexpr ptrdiff_t kGrain = 1 << 14;    // elements a thread should have at least
constexpr ptrdiff_t kRun = 256;          // rows summed one after the other
constexpr ptrdiff_t kLongest = 1 << 24;  // rows that a float counts without gaps

// Groups of positions, in order: those of group g are position[begin[g] … begin[g + 1]).
template <class T>
struct Groups {
  const T* rows;
  ptrdiff_t row, n;
  const int64_t* position;
  const T* share;
  const int64_t* begin;
  ptrdiff_t count;
  RowScale scale;
};

template <class T>
class GroupSum {
 public:
  GroupSum(const Groups<T>& groups, T* out) : g_(groups), out_(out) {}

  void run() const {
    const ptrdiff_t total = g_.begin[g_.count];
    const ptrdiff_t each = (total / (g_.count + 1) + 1) * g_.n;  // elements of a group, about
    FlushDenormals flush;
    auto whole = [&](ptrdiff_t first, ptrdiff_t last) {
      for (ptrdiff_t g = first; g < last; ++g)
        if (size(g) <= kRun) kernel_(part(g_.begin[g], size(g), scale(g), out_ + g * g_.n));
    };
    if ((total + g_.count) * g_.n <= 2 * kGrain)
      whole(0, g_.count);
    else
      parallel_ranges(g_.count, kGrain / each + 1, 1, whole);
    for (ptrdiff_t g = 0; g < g_.count; ++g)
      if (size(g) > kRun) run_long(g);
  }

 private:
  ptrdiff_t size(ptrdiff_t g) const { return g_.begin[g + 1] - g_.begin[g]; }
  T scale(ptrdiff_t g) const {
    return g_.scale == RowScale::by_frequency && size(g) > 0 ? T(1) / T(size(g)) : T(1);
  }
  EmbeddingSumArgs<T> part(ptrdiff_t k, ptrdiff_t count, T scale, T* out) const {
    const T* share = g_.share ? g_.share + k : nullptr;
    return {g_.rows, g_.row, g_.position + k, share, count, g_.n, scale, out};
  }
  void run_long(ptrdiff_t g) const {
    const ptrdiff_t runs = (size(g) + kRun - 1) / kRun;
    Workspace<T> space(size_t(runs * g_.n));
    parallel_for(runs, [&](ptrdiff_t r) {
      ptrdiff_t count = std::min(kRun, size(g) - r * kRun);
      kernel_(part(g_.begin[g] + r * kRun, count, T(1), &space[size_t(r * g_.n)]));
    });
    kernel_({space.data(), g_.n, nullptr, nullptr, runs, g_.n, scale(g), out_ + g * g_.n});
  }

  const Groups<T>& g_;
  T* out_;
  EmbeddingSumFn<T>* kernel_ =
      kernels.best(dtype_of<T>, int(Embedding::embedding_sum)).template as<EmbeddingSumFn<T>>();
};

// Where each group begins, copied and checked.
std::vector<int64_t> checked_groups(const Indices& begin, ptrdiff_t count) {
  if (begin.rank != 1 || begin.size < 1)
    fail("embedding_bag", "begin", "one number a bag and one more",
         "shape " + shape_text(begin.shape, begin.rank));
  std::vector<int64_t> groups(size_t(begin.size));
  for (size_t g = 0; g < groups.size(); ++g) {
    groups[g] = read_once(begin.data + g);
    if (groups[g] < (g ? groups[g - 1] : 0) || (g == 0 && groups[0] != 0))
      fail("embedding_bag", "begin", "ascending numbers from 0 to the count of indices",
           std::to_string(groups[g]) + " at index " + std::to_string(g));
  }
  if (groups.back() != count)
    fail("embedding_bag", "begin", "ascending numbers from 0 to " + std::to_string(count),
         std::to_string(groups.back()) + " at the end");
  return groups;
}

}  // namespace

void embedding(const Operand& table, const Indices& indices, const Operand& out) {
  const CheckedIndices index("embedding", "input", indices, table.shape[0]);
  const ptrdiff_t n = table.shape[1];
  if (index.size() == 0 || n == 0) return;
  dispatch(table.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel =
        kernels.best(table.dtype, int(Embedding::embedding_rows)).template as<EmbeddingRowsFn<T>>();
    auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
      kernel({table.as<const T>(), table.stride[0], index.data() + begin, end - begin, n,
              out.as<T>() + begin * out.stride[0], out.stride[0]});
    };
    if (index.size() * n <= 2 * kGrain) return run(0, index.size());
    parallel_ranges(index.size(), kGrain / n + 1, 1, run);
  });
}

void embedding_sum(const Operand& rows, const Indices& indices, const void* share,
                   const Indices& bags, const Operand& out) {
  const CheckedIndices position("embedding_bag", "input", indices, rows.shape[0]);
  const std::vector<int64_t> begin = checked_groups(bags, position.size());
  if (out.size() == 0) return;
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const Groups<T> groups{
        rows.as<const T>(),           rows.stride[0], rows.shape[1], position.data(),
        static_cast<const T*>(share), begin.data(),   out.shape[0],  RowScale::none};
    GroupSum<T>(groups, out.as<T>()).run();
  });
}

void check_bags(const Indices& begin, ptrdiff_t count) { checked_groups(begin, count); }

void groups_of(const Indices& begin, ptrdiff_t count, int64_t* to) {
  const std::vector<int64_t> groups = checked_groups(begin, count);
  for (size_t g = 0; g + 1 < groups.size(); ++g)
    std::fill(to + groups[g], to + groups[g + 1], int64_t(g));
}

void embedding_max(const Operand& rows, const Indices& indices, const Indices& bags,
                   const Operand& out, int64_t* which) {
  const CheckedIndices position("embedding_bag", "input", indices, rows.shape[0]);
  const std::vector<int64_t> begins = checked_groups(bags, position.size());
  const int64_t* begin = begins.data();
  if (out.size() == 0) return;
  const ptrdiff_t groups = out.shape[0], n = out.shape[1];
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel =
        kernels.best(rows.dtype, int(Embedding::embedding_max)).template as<EmbeddingMaxFn<T>>();
    auto run = [&](ptrdiff_t first, ptrdiff_t last) {
      FlushDenormals flush;
      for (ptrdiff_t g = first; g < last; ++g) {
        T* y = out.as<T>() + g * n;
        int64_t* from = which + g * n;
        const ptrdiff_t count = begin[g + 1] - begin[g];
        if (count > 0) {
          kernel(
              {rows.as<const T>(), rows.stride[0], position.data() + begin[g], count, n, y, from});
          continue;
        }
        std::fill_n(y, n, T(0));
        std::fill_n(from, n, int64_t(-1));
      }
    };
    for (ptrdiff_t g = 0; g < groups; ++g)
      if (begin[g + 1] - begin[g] > kLongest)
        fail("embedding_bag", "offsets", "bags of at most 2^24 numbers for the mode \"max\"",
             std::to_string(begin[g + 1] - begin[g]));
    if ((position.size() + groups) * n <= 2 * kGrain) return run(0, groups);
    parallel_ranges(groups, kGrain / ((position.size() / groups + 1) * n) + 1, 1, run);
  });
}

void embedding_max_backward(const Operand& dy, const int64_t* which, const Operand& out) {
  const ptrdiff_t groups = dy.shape[0], n = dy.shape[1], table = out.shape[0];
  for (ptrdiff_t i = 0; i < groups * n; ++i)
    if (which[i] < -1 || which[i] >= table)
      fail("embedding_max_backward", "which", "-1 to " + std::to_string(table - 1),
           std::to_string(which[i]));
  if (out.size() == 0) return;
  dispatch(dy.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const T* from = dy.as<const T>();
    T* to = out.as<T>();
    // Columns do not meet, so they are what threads share; each is summed in the order of groups.
    parallel_ranges(n, kGrain / (groups + table) + 1, 16, [&](ptrdiff_t first, ptrdiff_t last) {
      for (ptrdiff_t v = 0; v < table; ++v) std::fill(to + v * n + first, to + v * n + last, T(0));
      for (ptrdiff_t g = 0; g < groups; ++g)
        for (ptrdiff_t j = first; j < last; ++j) {
          const int64_t row = read_once(which + g * n + j);
          if (row >= 0 && row < table) to[row * n + j] += from[g * n + j];
        }
    });
  });
}

void check_backward(const Operand& rows, const Indices& index, const Indices* position) {
  const char* op = "embedding_backward";
  if (position && position->size != index.size)
    fail(op, "positions", std::to_string(index.size) + " numbers", std::to_string(position->size));
  if (!position && index.size != rows.shape[0])
    fail(op, "dy", std::to_string(index.size) + " rows", rows.text());
}

void embedding_backward(const Operand& rows, const Indices& indices, const Indices* positions,
                        const void* share, ptrdiff_t padding, RowScale scale, const Operand& out) {
  const char* op = "embedding_backward";
  const ptrdiff_t table = out.shape[0];
  const CheckedIndices index(op, "input", indices, table);
  std::optional<CheckedIndices> position;
  if (positions) position.emplace(op, "positions", *positions, rows.shape[0]);
  check_backward(rows, indices, positions);
  if (out.size() == 0) return;
  // A counting sort: where each table row's positions begin, then the positions in their order.
  std::vector<int64_t> begin(size_t(table) + 1, 0), next;
  for (ptrdiff_t i = 0; i < index.size(); ++i)
    if (index[i] != padding) ++begin[size_t(index[i]) + 1];
  for (size_t v = 0; v < size_t(table); ++v) begin[v + 1] += begin[v];
  next.assign(begin.begin(), begin.end() - 1);
  Workspace<int64_t> sorted(size_t(begin[size_t(table)]));
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Workspace<T> shares(share ? sorted.size() : 0);
    for (ptrdiff_t i = 0; i < index.size(); ++i) {
      if (index[i] == padding) continue;
      size_t to = size_t(next[size_t(index[i])]++);
      sorted[to] = position ? (*position)[i] : i;
      if (share) shares[to] = static_cast<const T*>(share)[i];
    }
    const Groups<T> groups{rows.as<const T>(),
                           rows.stride[0],
                           rows.shape[1],
                           sorted.data(),
                           share ? shares.data() : nullptr,
                           begin.data(),
                           table,
                           scale};
    GroupSum<T>(groups, out.as<T>()).run();
  });
}

}  // namespace striate
