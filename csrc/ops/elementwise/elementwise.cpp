// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise/elementwise.h"

#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, op) STRIATE_KERNEL(elementwise, name, T, isa, int(Binary::op))
#include "ops/elementwise/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least

// a, b and out over one set of axes, innermost last: axes of out by descending stride, axes of size
// 1 dropped, neighbours merged where all three run through them as one.
struct Loops {
  int rank = 0;
  ptrdiff_t shape[kMaxRank + 1], a[kMaxRank + 1], b[kMaxRank + 1], out[kMaxRank + 1];

  void push(ptrdiff_t n, ptrdiff_t sa, ptrdiff_t sb, ptrdiff_t so) {
    int at = rank++;
    for (; at > 0 && out[at - 1] < so; --at) {  // insertion sort
      shape[at] = shape[at - 1], a[at] = a[at - 1], b[at] = b[at - 1], out[at] = out[at - 1];
    }
    shape[at] = n, a[at] = sa, b[at] = sb, out[at] = so;
  }

  void merge() {
    int kept = 0;
    for (int i = 1; i < rank; ++i) {
      ptrdiff_t n = shape[i];
      if (a[kept] == a[i] * n && b[kept] == b[i] * n && out[kept] == out[i] * n) {
        shape[kept] *= n, a[kept] = a[i], b[kept] = b[i], out[kept] = out[i];
      } else {
        ++kept;
        shape[kept] = n, a[kept] = a[i], b[kept] = b[i], out[kept] = out[i];
      }
    }
    rank = rank == 0 ? 0 : kept + 1;
    if (rank == 0) push(1, 0, 0, 1);
  }
};

// The stride of x along axis i of a shape of `rank` axes: 0 where x repeats.
ptrdiff_t stride_of(const Operand& x, int i, int rank) {
  int own = i - (rank - x.rank);
  return own < 0 || x.shape[own] == 1 ? 0 : x.stride[own];
}

template <class T>
void run(BinaryFn<T>* kernel, const Loops& loops, const T* a, const T* b, T* out) {
  const int inner = loops.rank - 1;
  ptrdiff_t rows = 1, n = loops.shape[inner];
  for (int i = 0; i < inner; ++i) rows *= loops.shape[i];
  auto row = [&](ptrdiff_t index, ptrdiff_t begin, ptrdiff_t end) {
    ptrdiff_t at_a = begin * loops.a[inner], at_b = begin * loops.b[inner],
              at_out = begin * loops.out[inner];
    for (int i = inner - 1; i >= 0; --i) {
      ptrdiff_t along = index % loops.shape[i];
      index /= loops.shape[i];
      at_a += along * loops.a[i], at_b += along * loops.b[i], at_out += along * loops.out[i];
    }
    kernel(a + at_a, loops.a[inner], b + at_b, loops.b[inner], out + at_out, loops.out[inner],
           end - begin);
  };
  if (rows * n <= kGrain) {
    FlushDenormals flush;
    for (ptrdiff_t r = 0; r < rows; ++r) row(r, 0, n);
  } else if (rows == 1) {
    parallel_ranges(n, kGrain, 64, [&](ptrdiff_t begin, ptrdiff_t end) { row(0, begin, end); });
  } else {
    parallel_ranges(rows, kGrain / n + 1, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (ptrdiff_t r = begin; r < end; ++r) row(r, 0, n);
    });
  }
}

}  // namespace

int broadcast_shape(const char* op, const Operand& a, const Operand& b, ptrdiff_t* shape) {
  int rank = a.rank > b.rank ? a.rank : b.rank;
  for (int i = 0; i < rank; ++i) {
    int ia = i - (rank - a.rank), ib = i - (rank - b.rank);
    ptrdiff_t na = ia < 0 ? 1 : a.shape[ia], nb = ib < 0 ? 1 : b.shape[ib];
    if (na != nb && na != 1 && nb != 1)
      throw std::invalid_argument(std::string(op) + ": shapes " + a.text() + " and " + b.text() +
                                  " do not broadcast: axis " + std::to_string(i - rank) + " has " +
                                  std::to_string(na) + " and " + std::to_string(nb) + " elements");
    shape[i] = na == 1 ? nb : na;
  }
  return rank;
}

void binary(Binary op, const Operand& a, const Operand& b, const Operand& out) {
  Loops loops;
  for (int i = 0; i < out.rank; ++i) {
    if (out.shape[i] == 0) return;
    if (out.shape[i] == 1) continue;
    loops.push(out.shape[i], stride_of(a, i, out.rank), stride_of(b, i, out.rank), out.stride[i]);
  }
  loops.merge();
  dispatch(out.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(out.dtype, int(op)).template as<BinaryFn<T>>();
    run<T>(kernel, loops, a.as<const T>(), b.as<const T>(), out.as<T>());
  });
}

}  // namespace striate
