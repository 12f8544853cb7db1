// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include "ops/layout/rows.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what, Fn) STRIATE_KERNEL(loss, name, T, isa, int(Loss::what))
#include "ops/loss/kernels.inc"
#undef ROW
};

// "(2, 0, 5)": where the row is in x's shape without its class axis.
std::string place(const Operand& x, int axis, ptrdiff_t row) {
  ptrdiff_t index[kMaxRank];
  int rank = 0;
  for (int i = x.rank - 1; i >= 0; --i) {
    if (i == axis) continue;
    index[x.rank - 2 - rank++] = row % x.shape[i];
    row /= x.shape[i];
  }
  return shape_text(index, rank);
}

// What "mean" divides by. Refuses labels that are no class.
template <class T>
double total_weight(const CrossEntropy& p, int axis, ptrdiff_t rows) {
  if (p.labels == nullptr) return double(rows);
  const T* weight = p.weight.as<const T>();
  const int64_t classes = p.x.shape[axis];
  double total = 0;
  for (ptrdiff_t r = 0; r < rows; ++r) {
    int64_t label = p.labels[r];
    if (label == p.ignored) continue;
    if (label < 0 || label >= classes)
      throw std::out_of_range("cross_entropy: target: expected a class from 0 to " +
                              std::to_string(classes - 1) + ", or ignore_index " +
                              std::to_string(p.ignored) + ", got " + std::to_string(label) +
                              " at index " + place(p.x, axis, r));
    total += weight ? double(weight[label]) : 1;
  }
  return total;
}

// *to = the sum of n elements.
void sum_into(void* from, ptrdiff_t n, Dtype dtype, void* to) {
  const bool reduced[] = {true};
  Operand all{from, dtype, 1, {n}, {1}}, one{to, dtype, 0, {}, {}};
  sum(all, reduced, one);
}

template <class T>
void run_cross_entropy(const CrossEntropy& p, T* loss, const Operand& dx) {
  const int axis = p.x.rank == 1 ? 0 : 1;
  const Rows<3> rows({p.x, p.target, dx}, axis);
  const ptrdiff_t count = rows.count();
  const double total = total_weight<T>(p, axis, count);
  const bool mean = p.reduction == LossReduction::mean, each = p.reduction == LossReduction::none;

  CrossEntropyRows<T> all{};
  all.classes = p.x.shape[axis];
  all.weight = p.weight.as<const T>();
  all.weight_sum = T(all.classes);
  if (all.weight) sum_into(p.weight.data, all.classes, p.x.dtype, &all.weight_sum);
  all.ignored = p.ignored;
  all.smoothing = T(p.smoothing);
  all.scale = T(mean ? 1 / total : 1);

  Workspace<T> space(each ? 0 : size_t(count));
  T* losses = each ? loss : space.data();
  Loss what = p.labels ? Loss::cross_entropy_labels : Loss::cross_entropy_probabilities;
  auto* kernel = kernels.best(p.x.dtype, int(what)).template as<CrossEntropyFn<T>>();
  rows.template run<T>([&](ptrdiff_t first, ptrdiff_t n, T* const* data, const ptrdiff_t* row) {
    CrossEntropyRows<T> args = all;
    args.x = data[0], args.x_row = row[0], args.rows = n;
    args.labels = p.labels ? p.labels + first : nullptr;
    args.target = data[1], args.target_row = row[1];
    args.loss = losses + first;
    args.dx = data[2], args.dx_row = row[2];
    kernel(args);
  });
  if (each) return;
  sum_into(losses, count, p.x.dtype, loss);
  if (mean) *loss = T(double(*loss) / total);
}

constexpr ptrdiff_t kPart = 1 << 15;  // elements a part of a long sum has; fixed, so order is too

template <class T>
void run_mse(const Operand& x, const Operand& target, bool mean, T* loss, const Operand& dx) {
  const ptrdiff_t n = x.size(), parts = (n + kPart - 1) / kPart;
  const T scale = T(mean ? 2 / double(n) : 2);
  auto* kernel = kernels.best(x.dtype, int(Loss::squared_error)).template as<SquaredErrorFn<T>>();
  Workspace<T> partial{size_t(parts)};
  auto part = [&](ptrdiff_t p) {
    ptrdiff_t begin = p * kPart, count = n - begin < kPart ? n - begin : kPart;
    T* gradient = dx.data ? dx.as<T>() + begin : nullptr;
    partial[p] =
        kernel(x.as<const T>() + begin, target.as<const T>() + begin, count, scale, gradient);
  };
  if (parts > 1) {
    parallel_for(parts, part);
  } else if (parts == 1) {
    FlushDenormals flush;
    part(0);
  }
  sum_into(partial.data(), parts, x.dtype, loss);
  if (mean) *loss = T(double(*loss) / double(n));
}

}  // namespace

void cross_entropy(const CrossEntropy& problem, const Operand& loss, const Operand& dx) {
  dispatch(problem.x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_cross_entropy<T>(problem, loss.as<T>(), dx);
  });
}

void mse(const Operand& x, const Operand& target, LossReduction reduction, const Operand& loss,
         const Operand& dx) {
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_mse<T>(x, target, reduction == LossReduction::mean, loss.as<T>(), dx);
  });
}

}  // namespace striate
