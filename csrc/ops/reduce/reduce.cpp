// SPDX-License-Identifier: Apache-2.0
#include "ops/reduce/reduce.h"

#include "core/memory.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, what) STRIATE_KERNEL(reduce, name, T, isa, int(Reduction::what))
#include "ops/reduce/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kPart = 1 << 15;  // elements a part of a long sum has; fixed, so order is too

struct Axis {
  ptrdiff_t n, x, out;  // size, strides
  bool reduced;
};

// The axes of a sum, those of size 1 dropped, neighbours merged where x (and out) run through them.
struct Axes {
  int count = 0;
  Axis axis[kMaxRank];

  void push(Axis a) {
    int at = count++;
    for (; at > 0 && axis[at - 1].x < a.x; --at) axis[at] = axis[at - 1];  // descending strides
    axis[at] = a;
  }
  void merge() {
    int kept = 0;
    for (int i = 1; i < count; ++i) {
      Axis& a = axis[kept];
      const Axis& b = axis[i];
      bool joined =
          a.reduced == b.reduced && a.x == b.x * b.n && (a.reduced || a.out == b.out * b.n);
      if (joined)
        a = {a.n * b.n, b.x, b.out, b.reduced};
      else
        axis[++kept] = b;
    }
    count = count == 0 ? 0 : kept + 1;
  }
  Axis take(int i) {
    Axis a = axis[i];
    for (; i + 1 < count; ++i) axis[i] = axis[i + 1];
    --count;
    return a;
  }
  // The longest reduced axis, taken out; a single step if there is none.
  Axis take_longest_reduced() {
    int longest = -1;
    for (int i = 0; i < count; ++i)
      if (axis[i].reduced && (longest < 0 || axis[i].n > axis[longest].n)) longest = i;
    return longest < 0 ? Axis{1, 0, 0, true} : take(longest);
  }
  ptrdiff_t product(bool reduced) const {
    ptrdiff_t n = 1;
    for (int i = 0; i < count; ++i)
      if (axis[i].reduced == reduced) n *= axis[i].n;
    return n;
  }
  // Offsets into x and out of the index-th combination of the kept, or the reduced, axes.
  void offsets(ptrdiff_t index, bool reduced, ptrdiff_t* x, ptrdiff_t* out) const {
    for (int i = count - 1; i >= 0; --i) {
      if (axis[i].reduced != reduced) continue;
      ptrdiff_t along = index % axis[i].n;
      index /= axis[i].n;
      *x += along * axis[i].x;
      *out += along * axis[i].out;
    }
  }
};

template <class T>
struct Sums {
  SumFn<T>* row = kernels.best(dtype_of<T>, int(Reduction::sum_row)).template as<SumFn<T>>();
  SumFn<T>* columns =
      kernels.best(dtype_of<T>, int(Reduction::sum_columns)).template as<SumFn<T>>();

  // The sum of n neighbours, cut into fixed parts when there are many.
  void run(const T* x, ptrdiff_t n, T* out, bool accumulate) const {
    ptrdiff_t parts = (n + kPart - 1) / kPart;
    if (parts <= 1) return row({x, 0, 1, n, out, accumulate});
    Workspace<T> partial{size_t(parts)};
    parallel_for(parts, [&](ptrdiff_t p) {
      ptrdiff_t begin = p * kPart, left = n - begin;
      row({x + begin, 0, 1, left < kPart ? left : kPart, &partial[p], false});
    });
    run(partial.data(), parts, out, accumulate);
  }

  // The sum of rows of n neighbours, cut into fixed blocks of rows when there are many.
  void run_columns(const T* x, Axis rows, ptrdiff_t n, T* out, bool accumulate) const {
    ptrdiff_t block = kPart / n + 1, parts = (rows.n + block - 1) / block;
    if (parts <= 1) return columns({x, rows.x, rows.n, n, out, accumulate});
    Workspace<T> partial(size_t(parts) * size_t(n));
    parallel_for(parts, [&](ptrdiff_t p) {
      ptrdiff_t begin = p * block, left = rows.n - begin;
      columns({x + begin * rows.x, rows.x, left < block ? left : block, n, &partial[p * n], false});
    });
    columns({partial.data(), n, parts, n, out, accumulate});
  }
};

template <class T>
void sum_axes(const T* x, Axes axes, T* out) {
  const Sums<T> sums;
  Axis unit = axes.take(axes.count - 1);  // ascending to the last: x's stride there is 1
  Axis rows = unit.reduced ? Axis{1, 0, 0, true} : axes.take_longest_reduced();
  ptrdiff_t kept = axes.product(false), again = axes.product(true);
  auto one = [&](ptrdiff_t index) {
    FlushDenormals flush;
    ptrdiff_t at = 0, to = 0;
    axes.offsets(index, false, &at, &to);
    bool scattered = !unit.reduced && unit.out != 1 && unit.n > 1;
    Workspace<T> space(scattered ? size_t(unit.n) : 0);
    T* target = scattered ? space.data() : out + to;
    for (ptrdiff_t r = 0; r < again; ++r) {
      ptrdiff_t from = at, unused = 0;
      axes.offsets(r, true, &from, &unused);
      if (unit.reduced)
        sums.run(x + from, unit.n, target, r > 0);
      else
        sums.run_columns(x + from, rows, unit.n, target, r > 0);
    }
    if (scattered)
      for (ptrdiff_t j = 0; j < unit.n; ++j) out[to + j * unit.out] = target[j];
  };
  bool threaded = kept > 1 && kept * again * unit.n * rows.n > kPart;
  if (threaded)
    return parallel_ranges(kept, 1, 1, [&](ptrdiff_t begin, ptrdiff_t end) {
      for (ptrdiff_t i = begin; i < end; ++i) one(i);
    });
  for (ptrdiff_t i = 0; i < kept; ++i) one(i);
}

// x copied into C order: for arrays with no unit-stride axis.
template <class T>
void copy_dense(const Operand& x, T* to) {
  ptrdiff_t size = x.size();
  for (ptrdiff_t i = 0; i < size; ++i) {
    ptrdiff_t index = i, at = 0;
    for (int a = x.rank - 1; a >= 0; --a) {
      at += index % x.shape[a] * x.stride[a];
      index /= x.shape[a];
    }
    to[i] = x.as<const T>()[at];
  }
}

template <class T>
void sum_typed(const Operand& x, const bool* reduced, const Operand& out) {
  Axes axes;
  for (int i = 0, o = 0; i < x.rank; ++i) {
    if (x.shape[i] > 1)
      axes.push({x.shape[i], x.stride[i], reduced[i] ? 0 : out.stride[o], reduced[i]});
    if (!reduced[i]) ++o;
  }
  axes.merge();
  if (axes.count == 0) {
    *out.as<T>() = *x.as<const T>();
  } else if (axes.axis[axes.count - 1].x == 1) {
    sum_axes(x.as<const T>(), axes, out.as<T>());
  } else {
    Workspace<T> space{size_t(x.size())};
    copy_dense(x, space.data());
    Operand dense = x;
    dense.data = space.data();
    c_order(x.shape, x.rank, dense.stride);
    sum_typed<T>(dense, reduced, out);
  }
}

template <class T>
void fill_zero(const Operand& out) {
  Operand x = out;
  T zero = 0;
  ptrdiff_t size = out.size();
  for (ptrdiff_t i = 0; i < size; ++i) {
    ptrdiff_t index = i, at = 0;
    for (int a = out.rank - 1; a >= 0; --a) {
      at += index % out.shape[a] * out.stride[a];
      index /= out.shape[a];
    }
    x.as<T>()[at] = zero;
  }
}

}  // namespace

void sum(const Operand& x, const bool* reduced, const Operand& out) {
  if (out.size() == 0) return;
  dispatch(x.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    if (x.size() == 0)
      fill_zero<T>(out);
    else
      sum_typed<T>(x, reduced, out);
  });
}

}  // namespace striate
