// SPDX-License-Identifier: Apache-2.0
#include "ops/sgd/sgd.h"

#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, rule) STRIATE_KERNEL(sgd, name, T, isa, int(SgdRule::rule))
#include "ops/sgd/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least

// p, grad and b over one set of axes, innermost last: by descending stride of p, neighbours merged
// where all three run through them as one. Dense tensors of one order end as a single axis.
struct Axes {
  int rank = 0;
  ptrdiff_t shape[kMaxRank + 1], p[kMaxRank + 1], grad[kMaxRank + 1], b[kMaxRank + 1];

  void set(int at, ptrdiff_t n, ptrdiff_t sp, ptrdiff_t sg, ptrdiff_t sb) {
    shape[at] = n, p[at] = sp, grad[at] = sg, b[at] = sb;
  }

  void push(ptrdiff_t n, ptrdiff_t sp, ptrdiff_t sg, ptrdiff_t sb) {
    int at = rank++;
    for (; at > 0 && p[at - 1] < sp; --at)
      set(at, shape[at - 1], p[at - 1], grad[at - 1], b[at - 1]);
    set(at, n, sp, sg, sb);
  }

  void merge() {
    if (rank == 0) push(1, 1, 1, 1);
    int kept = 0;
    for (int i = 1; i < rank; ++i) {
      ptrdiff_t n = shape[i];
      bool joins = p[kept] == p[i] * n && grad[kept] == grad[i] * n && b[kept] == b[i] * n;
      n *= joins ? shape[kept] : 1;
      kept += joins ? 0 : 1;
      set(kept, n, p[i], grad[i], b[i]);
    }
    rank = kept + 1;
  }
};

template <class T>
void run(SgdFn<T>* kernel, const Axes& axes, T* p, const T* grad, T* b, const SgdFactors& factors) {
  const int inner = axes.rank - 1;
  ptrdiff_t rows = 1, n = axes.shape[inner];
  for (int i = 0; i < inner; ++i) rows *= axes.shape[i];
  auto row = [&](ptrdiff_t index, ptrdiff_t begin, ptrdiff_t end) {
    ptrdiff_t at_p = begin * axes.p[inner], at_grad = begin * axes.grad[inner],
              at_b = begin * axes.b[inner];
    for (int i = inner - 1; i >= 0; --i) {
      ptrdiff_t along = index % axes.shape[i];
      index /= axes.shape[i];
      at_p += along * axes.p[i], at_grad += along * axes.grad[i], at_b += along * axes.b[i];
    }
    kernel(p + at_p, axes.p[inner], grad + at_grad, axes.grad[inner], b ? b + at_b : nullptr,
           axes.b[inner], end - begin, factors);
  };
  if (rows == 1) {
    parallel_ranges(n, kGrain, 64, [&](ptrdiff_t begin, ptrdiff_t end) { row(0, begin, end); });
  } else {
    parallel_ranges(rows, kGrain / n + 1, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (ptrdiff_t r = begin; r < end; ++r) row(r, 0, n);
    });
  }
}

void expect_like(const char* argument, const Operand& p, const Operand& x) {
  bool same = x.rank == p.rank;
  for (int i = 0; same && i < p.rank; ++i) same = x.shape[i] == p.shape[i];
  if (!same) fail("sgd", argument, "shape " + p.text() + ", the parameter's", x.text());
}

}  // namespace

void sgd(SgdRule rule, const Operand& p, const Operand& grad, const Operand* b,
         const SgdFactors& factors) {
  expect_like("grad", p, grad);
  if (b) expect_like("momentum_buffer", p, *b);
  Axes axes;
  for (int i = 0; i < p.rank; ++i) {
    if (p.shape[i] == 0) return;
    if (p.shape[i] == 1) continue;
    axes.push(p.shape[i], p.stride[i], grad.stride[i], b ? b->stride[i] : p.stride[i]);
  }
  axes.merge();
  dispatch(p.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(p.dtype, int(rule)).template as<SgdFn<T>>();
    run<T>(kernel, axes, p.as<T>(), grad.as<const T>(), b ? b->as<T>() : nullptr, factors);
  });
}

}  // namespace striate
