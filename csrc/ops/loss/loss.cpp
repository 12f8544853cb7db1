// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include <cstring>

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

// What "mean" divides by. Copies the labels, and refuses those that are no class.
template <class T>
double total_weight(const CrossEntropy& p, int axis, ptrdiff_t rows, Workspace<int64_t>& labels) {
  if (!p.labels) return double(rows);
  const T* weight = p.weight ? p.weight->as<const T>() : nullptr;
  const int64_t classes = p.x.shape[axis];
  double total = 0;
  for (ptrdiff_t r = 0; r < rows; ++r) {
    const int64_t label = labels[size_t(r)] = read_once(p.labels->data + r);
    if (label == p.ignored) continue;
    if (label < 0 || label >= classes) refuse_label(p, r, label);
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
  Operand target = p.x;
  target.data = nullptr;
  const Rows<3> rows({p.x, p.target ? *p.target : target, dx}, axis);
  const ptrdiff_t count = rows.count();
  Workspace<int64_t> labels(p.labels ? size_t(count) : 0);
  const double total = total_weight<T>(p, axis, count, labels);
  const bool mean = p.reduction == LossReduction::mean, each = p.reduction == LossReduction::none;

  CrossEntropyRows<T> all{};
  all.classes = p.x.shape[axis];
  all.weight = p.weight ? p.weight->as<const T>() : nullptr;
  all.weight_sum = T(all.classes);
  if (all.weight) sum_into(p.weight->data, all.classes, p.x.dtype, &all.weight_sum);
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
    args.labels = p.labels ? labels.data() + first : nullptr;
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

void refuse_label(const CrossEntropy& p, ptrdiff_t row, int64_t label) {
  const int axis = p.x.rank == 1 ? 0 : 1;
  throw std::out_of_range("cross_entropy: target: expected a class from 0 to " +
                          std::to_string(p.x.shape[axis] - 1) + ", or ignore_index " +
                          std::to_string(p.ignored) + ", got " + std::to_string(label) +
                          " at index " + place(p.x, axis, row));
}

LossReduction reduction_by_name(const char* op, const char* name) {
  const char* expected = "\"mean\", \"sum\" or \"none\"";
  if (!name) fail(op, "reduction", expected, "None");  // as pybind11 gives it
  if (std::strcmp(name, "mean") == 0) return LossReduction::mean;
  if (std::strcmp(name, "sum") == 0) return LossReduction::sum;
  if (std::strcmp(name, "none") == 0) return LossReduction::none;
  fail(op, "reduction", expected, "\"" + std::string(name) + "\"");
}

int cross_entropy_shape(const CrossEntropy& p, ptrdiff_t* shape) {
  const char* op = "cross_entropy";
  if (p.x.rank < 1) fail(op, "input", "(C,), (N, C) or (N, C, d1, …)", "shape " + p.x.text());
  const int axis = p.x.rank == 1 ? 0 : 1;
  if (p.x.shape[axis] < 1) fail(op, "input", "at least one class", "shape " + p.x.text());
  int rank = 0;
  for (int i = 0; i < p.x.rank; ++i)
    if (i != axis) shape[rank++] = p.x.shape[i];
  if (p.labels) {
    bool same = p.labels->rank == rank;
    for (int i = 0; same && i < rank; ++i) same = p.labels->shape[i] == shape[i];
    if (!same)
      fail(op, "target",
           "shape " + shape_text(shape, rank) + ", a class for each row of input " + p.x.text(),
           "shape " + shape_text(p.labels->shape, p.labels->rank));
  } else {
    same_dtype(op, "target", p.x, *p.target);
    expect_shape(op, "target", *p.target, p.x.shape, p.x.rank);
  }
  if (p.weight) {
    same_dtype(op, "weight", p.x, *p.weight);
    expect_shape(op, "weight", *p.weight, &p.x.shape[axis], 1);
  }
  if (!(p.smoothing >= 0 && p.smoothing <= 1))
    fail(op, "label_smoothing", "a number from 0 to 1", std::to_string(p.smoothing));
  return p.reduction == LossReduction::none ? rank : 0;
}

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
