// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding/embedding.h"

#include <algorithm>
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

}  // namespace

void check_numbers(const char* op, const char* argument, const Numbers& numbers, ptrdiff_t below) {
  for (ptrdiff_t i = 0; i < numbers.count; ++i) {
    int64_t value = numbers.data[i];
    if (value >= 0 && value < below) continue;
    ptrdiff_t place[kMaxRank], at = i;
    for (int a = numbers.rank - 1; a >= 0; --a) {
      place[a] = at % numbers.shape[a];
      at /= numbers.shape[a];
    }
    const std::string range =
        below > 0 ? "0 to " + std::to_string(below - 1) : "no number at all, the table being empty";
    throw std::out_of_range(std::string(op) + ": " + argument + ": expected " + range + ", got " +
                            std::to_string(value) + " at index " + shape_text(place, numbers.rank));
  }
}

void embedding(const Operand& table, const Numbers& index, const Operand& out) {
  check_numbers("embedding", "input", index, table.shape[0]);
  const ptrdiff_t n = table.shape[1];
  if (index.count == 0 || n == 0) return;
  dispatch(table.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel =
        kernels.best(table.dtype, int(Embedding::embedding_rows)).template as<EmbeddingRowsFn<T>>();
    auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
      kernel({table.as<const T>(), table.stride[0], index.data + begin, end - begin, n,
              out.as<T>() + begin * out.stride[0], out.stride[0]});
    };
    if (index.count * n <= 2 * kGrain) return run(0, index.count);
    parallel_ranges(index.count, kGrain / n + 1, 1, run);
  });
}

void embedding_sum(const Operand& rows, const Numbers& position, const void* share,
                   const int64_t* begin, const Operand& out) {
  check_numbers("embedding_bag", "input", position, rows.shape[0]);
  if (out.size() == 0) return;
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    const Groups<T> groups{
        rows.as<const T>(),           rows.stride[0], rows.shape[1], position.data,
        static_cast<const T*>(share), begin,          out.shape[0],  RowScale::none};
    GroupSum<T>(groups, out.as<T>()).run();
  });
}

void embedding_max(const Operand& rows, const Numbers& position, const int64_t* begin,
                   const Operand& out, int64_t* which) {
  check_numbers("embedding_bag", "input", position, rows.shape[0]);
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
          kernel({rows.as<const T>(), rows.stride[0], position.data + begin[g], count, n, y, from});
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
    if ((position.count + groups) * n <= 2 * kGrain) return run(0, groups);
    parallel_ranges(groups, kGrain / ((position.count / groups + 1) * n) + 1, 1, run);
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
        for (ptrdiff_t j = first; j < last; ++j)
          if (which[g * n + j] >= 0) to[which[g * n + j] * n + j] += from[g * n + j];
    });
  });
}

void embedding_backward(const Operand& rows, const Numbers& index, const int64_t* position,
                        const void* share, ptrdiff_t padding, RowScale scale, const Operand& out) {
  const ptrdiff_t table = out.shape[0];
  check_numbers("embedding_backward", "input", index, table);
  if (out.size() == 0) return;
  // A counting sort: where each table row's positions begin, then the positions in their order.
  std::vector<int64_t> begin(size_t(table) + 1, 0), next;
  for (ptrdiff_t i = 0; i < index.count; ++i)
    if (index.data[i] != padding) ++begin[size_t(index.data[i]) + 1];
  for (size_t v = 0; v < size_t(table); ++v) begin[v + 1] += begin[v];
  next.assign(begin.begin(), begin.end() - 1);
  Workspace<int64_t> sorted(size_t(begin[size_t(table)]));
  dispatch(rows.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    Workspace<T> shares(share ? sorted.size() : 0);
    for (ptrdiff_t i = 0; i < index.count; ++i) {
      if (index.data[i] == padding) continue;
      size_t to = size_t(next[size_t(index.data[i])]++);
      sorted[to] = position ? position[i] : i;
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
