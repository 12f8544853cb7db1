// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include "ops/layout/rows.h"
#include "ops/reduce/reduce.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what, Kind) STRIATE_KERNEL(loss, name, T, isa, int(Loss::what))
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
void run_pointwise(const Pointwise& problem, const Operand& loss, const Operand& dx) {
  const ptrdiff_t n = problem.x.size(), parts = (n + kPart - 1) / kPart;
  const bool mean = problem.reduction == LossReduction::mean;
  const bool each = problem.reduction == LossReduction::none;
  auto* kernel = kernels.best(problem.x.dtype, int(problem.what)).template as<PointwiseFn<T>>();
  Workspace<T> partial{size_t(parts)};
  auto part = [&](ptrdiff_t p) {
    const ptrdiff_t begin = p * kPart;
    PointwiseRun<T> run{};
    run.x = problem.x.as<const T>() + begin, run.target = problem.target.as<const T>() + begin;
    run.n = n - begin < kPart ? n - begin : kPart;
    run.parameter = T(problem.parameter), run.factor = T(problem.factor);
    run.scale = T(problem.factor / (mean ? double(n) : 1));
    if (each) run.loss = loss.as<T>() + begin;
    if (dx.data) run.dx = dx.as<T>() + begin;
    partial[size_t(p)] = kernel(run);
  };
  if (parts > 1) {
    parallel_for(parts, part);
  } else if (parts == 1) {
    FlushDenormals flush;
    part(0);
  }
  if (each) return;
  T* total = loss.as<T>();
  sum_into(partial.data(), parts, problem.x.dtype, total);
  if (mean) *total = T(double(*total) / double(n));
}

}  // namespace

void cross_entropy(const CrossEntropy& problem, const Operand& loss, const Operand& dx) {
  dispatch(problem.x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_cross_entropy<T>(problem, loss.as<T>(), dx);
  });
}

void pointwise_loss(const Pointwise& problem, const Operand& loss, const Operand& dx) {
  dispatch(problem.x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    run_pointwise<T>(problem, loss, dx);
  });
}

}  // namespace striate
