// SPDX-License-Identifier: Apache-2.0
// Runs without unit stride (a view across channels, a gradient repeated by strides of 0) are
// gathered into buffers a block at a time, so that the kernels see unit strides alone.
#include "ops/prelu/prelu.h"

#include <algorithm>

#include "core/loops.h"

namespace striate {
namespace {

enum Pass { forward, backward };
const Table<Kernel> kernels{
#define ROW(name, T, isa, pass) STRIATE_KERNEL(prelu, name, T, isa, pass)
#include "ops/prelu/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least
constexpr ptrdiff_t kBlock = 256;      // elements of a strided run gathered at a time

// The slopes of a run: as they are where the kernel takes their step, else gathered.
template <class T>
const T* slopes(const T* w, ptrdiff_t* step, ptrdiff_t n, T* buffer) {
  if (*step == 0) return w;
  w = gathered(w, *step, n, buffer);
  *step = 1;
  return w;
}

template <class T>
void spread(const T* buffer, T* p, ptrdiff_t step, ptrdiff_t n) {
  if (buffer == p) return;
  for (ptrdiff_t i = 0; i < n; ++i) p[i * step] = buffer[i];
}

// body(begin, count) over a run: at once where all strides are 1, else block by block.
template <class F>
void in_blocks(const ptrdiff_t* step, int operands, int slope, ptrdiff_t n, F&& body) {
  bool dense = step[slope] == 0 || step[slope] == 1;
  for (int k = 0; k < operands; ++k) dense &= k == slope || step[k] == 1;
  for (ptrdiff_t i = 0; i < n; i += dense ? n : kBlock)
    body(i, dense ? n : std::min(kBlock, n - i));
}

}  // namespace

void check_slopes(const char* op, const Operand& w, const Operand& x) {
  same_dtype(op, "weight", x, w);
  bool repeats = w.rank <= x.rank;
  for (int i = 0; repeats && i < w.rank; ++i)
    repeats = w.shape[i] == 1 || w.shape[i] == x.shape[x.rank - w.rank + i];
  if (!repeats) fail(op, "weight", "a shape that repeats to " + x.text(), w.text());
}

void prelu(const Operand& x, const Operand& w, const Operand& y) {
  const Loops<3> loops({x, w, y});
  dispatch(y.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(y.dtype, forward).template as<PreluFn<T>>();
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      const T *from = x.as<const T>() + at[0], *slope = w.as<const T>() + at[1];
      T* to = y.as<T>() + at[2];
      in_blocks(step, 3, 1, n, [&](ptrdiff_t i, ptrdiff_t count) {
        T a[kBlock], b[kBlock], c[kBlock];
        ptrdiff_t w_step = step[1];
        const T* weight = slopes(slope + i * w_step, &w_step, count, b);
        T* out = step[2] == 1 ? to + i : c;
        kernel(gathered(from + i * step[0], step[0], count, a), weight, w_step, out, count);
        spread(out, to + i * step[2], step[2], count);
      });
    });
  });
}

void prelu_backward(const Operand& x, const Operand& w, const Operand& dy, const Operand& dx,
                    const Operand& dw) {
  const Loops<5> loops({x, w, dy, dw, dx});
  dispatch(dx.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(dx.dtype, backward).template as<PreluBackwardFn<T>>();
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      const T *from = x.as<const T>() + at[0], *slope = w.as<const T>() + at[1];
      const T* grad = dy.as<const T>() + at[2];
      T *to_w = dw.as<T>() + at[3], *to_x = dx.as<T>() + at[4];
      in_blocks(step, 5, 1, n, [&](ptrdiff_t i, ptrdiff_t count) {
        T a[kBlock], b[kBlock], c[kBlock], d[kBlock], e[kBlock];
        ptrdiff_t w_step = step[1];
        const T* weight = slopes(slope + i * w_step, &w_step, count, b);
        T *out_w = step[3] == 1 ? to_w + i : d, *out_x = step[4] == 1 ? to_x + i : e;
        kernel(gathered(from + i * step[0], step[0], count, a), weight, w_step,
               gathered(grad + i * step[2], step[2], count, c), out_x, out_w, count);
        spread(out_w, to_w + i * step[3], step[3], count);
        spread(out_x, to_x + i * step[4], step[4], count);
      });
    });
  });
}

}  // namespace striate
