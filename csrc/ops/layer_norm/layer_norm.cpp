// SPDX-License-Identifier: Apache-2.0
// Rows are independent, but for the sums over rows that dweight and dbias are: blocks of rows,
// whose number depends on the sizes alone, have sums of their own, joined in double in their order.
#include "ops/layer_norm/layer_norm.h"

#include <algorithm>

#include "core/memory.h"
#include "core/threads.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, pass) STRIATE_KERNEL(layer_norm, name, T, isa, int(LayerNorm::pass))
#include "ops/layer_norm/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least
constexpr ptrdiff_t kLeastRows = 16;   // rows whose gradients are summed one after the other
constexpr ptrdiff_t kMostRows = 256;
constexpr ptrdiff_t kPartials = 1 << 18;  // elements of all blocks' sums, about

template <class T>
LayerNormFn<T>* kernel_of(LayerNorm pass) {
  return kernels.best(dtype_of<T>, int(pass)).template as<LayerNormFn<T>>();
}

template <class T>
LayerNormArgs<T> args_of(const LayerNormProblem& p) {
  LayerNormArgs<T> args{};
  args.x = static_cast<const T*>(p.x);
  args.weight = static_cast<const T*>(p.weight), args.bias = static_cast<const T*>(p.bias);
  args.mean = static_cast<T*>(p.mean), args.invstd = static_cast<T*>(p.invstd);
  args.rows = p.rows, args.n = p.n;
  return args;
}

// The arguments for rows begin … end.
template <class T>
LayerNormArgs<T> rows_of(LayerNormArgs<T> args, ptrdiff_t begin, ptrdiff_t end) {
  args.x += begin * args.n, args.y += begin * args.n;
  if (args.dy) args.dy += begin * args.n;
  if (args.mean) args.mean += begin;
  args.invstd += begin;
  args.rows = end - begin;
  return args;
}

template <class T>
void forward(const LayerNormProblem& p, T eps, T* y) {
  auto* kernel = kernel_of<T>(p.mean ? LayerNorm::layer_norm_fwd : LayerNorm::rms_norm_fwd);
  LayerNormArgs<T> args = args_of<T>(p);
  args.eps = eps, args.y = y;
  auto run = [&](ptrdiff_t begin, ptrdiff_t end) {
    FlushDenormals flush;
    kernel(rows_of(args, begin, end));
  };
  if (p.rows * p.n <= 2 * kGrain) return run(0, p.rows);
  parallel_ranges(p.rows, kGrain / p.n + 1, 1, run);
}

// to[j] = the sum over blocks of from[b * step + j]      j < n
template <class T>
void join(const T* from, ptrdiff_t step, ptrdiff_t blocks, ptrdiff_t n, T* to) {
  constexpr ptrdiff_t kColumns = 64;  // read block by block, as blocks lie pages apart
  parallel_ranges(n, kGrain / blocks + 1, kColumns, [&](ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t j = begin; j < end; j += kColumns) {
      const ptrdiff_t count = std::min(kColumns, end - j);
      double total[kColumns] = {};
      for (ptrdiff_t b = 0; b < blocks; ++b)
        for (ptrdiff_t k = 0; k < count; ++k) total[k] += double(from[b * step + j + k]);
      std::copy_n(total, count, to + j);
    }
  });
}

template <class T>
void backward(const LayerNormProblem& p, const T* dy, T* dx, T* dweight, T* dbias) {
  auto* kernel = kernel_of<T>(p.mean ? LayerNorm::layer_norm_bwd : LayerNorm::rms_norm_bwd);
  LayerNormArgs<T> args = args_of<T>(p);
  args.dy = dy, args.y = dx;
  const ptrdiff_t most = std::clamp<ptrdiff_t>(kPartials / p.n, 16, 256);
  const ptrdiff_t wanted = std::clamp(kGrain / p.n, kLeastRows, kMostRows);
  const ptrdiff_t block = std::max(wanted, (p.rows + most - 1) / most);
  const ptrdiff_t blocks = (p.rows + block - 1) / block;
  const ptrdiff_t sums = (dweight != nullptr) + (dbias != nullptr), step = sums * p.n;
  Workspace<T> space(size_t(blocks * step));
  std::fill_n(space.data(), blocks * step, T(0));
  auto run = [&](ptrdiff_t b) {
    FlushDenormals flush;
    LayerNormArgs<T> part = rows_of(args, b * block, std::min((b + 1) * block, p.rows));
    T* own = space.data() + b * step;
    part.dweight = dweight ? own : nullptr;
    part.dbias = dbias ? own + (dweight ? p.n : 0) : nullptr;
    kernel(part);
  };
  if (blocks == 1)
    run(0);
  else
    parallel_for(blocks, run);
  if (dweight) join(space.data(), step, blocks, p.n, dweight);
  if (dbias) join(space.data() + (dweight ? p.n : 0), step, blocks, p.n, dbias);
}

}  // namespace

void check_axes(const char* op, const Operand& x, int axes) {
  if (axes < 1 || axes > x.rank)
    fail(op, "axes", "1 to " + std::to_string(x.rank) + " of x " + x.text(), std::to_string(axes));
}

LayerNormProblem rows_of_axes(const Operand& x, int axes) {
  LayerNormProblem p{};
  p.dtype = x.dtype, p.rows = p.n = 1;
  for (int i = 0; i < x.rank; ++i) (i < x.rank - axes ? p.rows : p.n) *= x.shape[i];
  return p;
}

void layer_norm(const LayerNormProblem& problem, double eps, void* y) {
  if (problem.n == 0) {
    for (void* made : {problem.mean, problem.invstd})
      if (made) fill_nan(problem.dtype, made, problem.rows);
    return;
  }
  if (problem.rows == 0) return;
  dispatch(problem.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    forward(problem, T(eps), static_cast<T*>(y));
  });
}

void layer_norm_backward(const LayerNormProblem& problem, const void* dy, void* dx, void* dweight,
                         void* dbias) {
  if (problem.n == 0) return;
  dispatch(problem.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    if (problem.rows > 0)
      return backward(problem, static_cast<const T*>(dy), static_cast<T*>(dx),
                      static_cast<T*>(dweight), static_cast<T*>(dbias));
    for (void* sums : {dweight, dbias})
      if (sums) std::fill_n(static_cast<T*>(sums), problem.n, T(0));
  });
}

}  // namespace striate
