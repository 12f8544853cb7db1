// SPDX-License-Identifier: Apache-2.0
// Ways to drive the register tile over a product (product.h), cheapest first by the model in
// cost():
//   direct   A and B are read where they lie. A panel of B is then the outer loop: it is read once.
//   pack_a   A is copied into rows at a known distance: the tile needs one pointer for all, and no
//            stride of A's maps the rows of a tile to the same cache sets. B in place: few rows.
//   pack_b   B into panels. The register tile reads rows of A by pointer, so A stays in place.
//   pack_ab  both.
//   gemv     a product of one row or one column, or of a few rows with a B that comes from afar, by
//            kernels of its own.
#include "ops/gemm/gemm.h"

#include <algorithm>
#include <limits>

#include "core/memory.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/product.h"
#include "ops/gemm/tile.h"
#include "ops/gemv/gemv.h"

namespace striate {
namespace {

const Table<GemmKernel> kernels{
#define ROW(name, T, isa, mr, nr)                                                                 \
  STRIATE_WITH_##isa(                                                                             \
      GemmKernel{{{"gemm", "kernel", #name, dtype_of<T>, Isa::isa, 0},                            \
                  reinterpret_cast<void (*)()>(static_cast<void (*)(const GemmTile<T>&)>(name))}, \
                 mr,                                                                              \
                 nr}, )
#include "ops/gemm/kernels.inc"
#undef ROW
};

enum class Method { direct, pack_a, pack_b, pack_ab, gemv };
struct MethodRow : Row {
  Method method;
};
const Table<MethodRow> methods{
#define ROW(name, T, way) \
  MethodRow{{"gemm", "method", #name, dtype_of<T>, Isa::scalar, 0}, Method::way},
#include "ops/gemm/methods.inc"
#undef ROW
};

constexpr ptrdiff_t kNarrowK = 2048;   // steps of k where C is one panel
constexpr ptrdiff_t kFarK = 128;       // steps of k where B is read in place from beyond L2
constexpr double kFar = 1 << 20;       // bytes of B from which on it is beyond
constexpr double kFurther = 48 << 20;  // bytes of B that no cache of ours holds
#define ROW(name, T, isa, mr, nr)                                             \
  static_assert(kBlockN % nr == 0 && kBlockM % mr <= 4 && mr <= kMaxTileRows, \
                "the blocking does not fit " #name);
#include "ops/gemm/kernels.inc"
#undef ROW

// Steps of k at a time, in blocks of like size: a short last one would pay a tile's beginning and
// end for few steps.
template <class T>
ptrdiff_t block_of_k(const GemmProblem<T>& p, bool in_place, bool pack_a, ptrdiff_t nr) {
  ptrdiff_t most = kPackedK<T>;
  if (in_place && !pack_a && p.n <= nr)
    most = kNarrowK;
  else if (in_place && double(p.k) * double(p.n) * sizeof(T) > kFar)
    most = kFarK;
  const ptrdiff_t blocks = ceil_div(p.k, most);
  return blocks <= 1 ? p.k : ceil_div(ceil_div(p.k, blocks), 8) * 8;
}

// How much elements that far apart press into the same sets of a cache: a way of L1 is 4 KiB.
template <class T>
double crowding(ptrdiff_t stride) {
  ptrdiff_t bytes = stride * ptrdiff_t(sizeof(T));
  return bytes % 4096 == 0 ? 1 : bytes % 2048 == 0 ? 0.1 : 0;
}

// The product with few columns, if it has few rows.
template <class T>
GemmProblem<T> as_columns(const GemmProblem<T>& p) {
  return p.m <= kFewVectors && p.n > p.m && !p.packed_b ? transposed(p) : p;
}

// Cycles per element, measured on Emerald Rapids: what a method adds to the multiply-adds, which
// all share.
template <class T>
double cost(Method method, const GemmProblem<T>& p, const GemmKernel& kernel) {
  const double infinite = std::numeric_limits<double>::infinity();
  double tiles_n = double(ceil_div(p.n, kernel.nr));
  const Matrix<const T>&a = p.a, &b = p.b;
  double a_size = double(p.m) * double(p.k), b_size = double(p.k) * double(p.n);
  // Where B is packed, rows of A stay in L1 while B's panels pass, whatever their distance. Where
  // B lies in memory, rows of A pass again for every panel.
  double rows_beside_panels = (a.col == 1 ? 0.002 : 0.15 + 0.5 * crowding<T>(a.col)) * a_size;
  double rows_in_place = a.col == 1 ? (0.04 + 0.3 * crowding<T>(a.row)) * a_size
                                    : (0.15 + 0.5 * crowding<T>(a.col)) * a_size;
  double pack_a = (a.col == 1 ? 0.4 : 0.8) * a_size + 500;
  const double b_bytes = b_size * sizeof(T);
  const bool far = b_bytes > kFar;
  double pack_b = p.packed_b ? 0 : (b.col != 1 ? 0.8 : far ? 0.7 : 0.35) * b_size + 1000;
  double b_in_place = ((far ? 0.004 : 0.002) + 0.005 * crowding<T>(b.row)) * b_size * double(p.m);
  if (far)
    b_in_place += (0.6 + 0.3 * crowding<T>(b.row)) * std::min(b_bytes / kFurther, 1.0) * b_size;
  if (b.row >= 0 && b.row <= kernel.nr) b_in_place = 0;  // as good as a panel
  if (p.packed_b || b.col != 1) b_in_place = infinite;
  switch (method) {
    case Method::direct:
      return rows_beside_panels + rows_in_place * (tiles_n - 1) + b_in_place;
    case Method::pack_a:
      return pack_a + b_in_place;
    case Method::pack_b:
      return pack_b + rows_beside_panels * tiles_n;
    case Method::pack_ab:
      return pack_b + pack_a;
    case Method::gemv: {
      const GemmProblem<T> q = as_columns(p);
      if (!is_gemv(q)) return infinite;
      if (q.n == 1) return 0;
      const double matrix = double(q.m) * double(q.k);
      return ((matrix * sizeof(T) > kFar ? 0.35 : 1) + 0.01 * double(q.n)) * matrix;
    }
  }
  return infinite;
}

template <class T>
Method choose(const GemmProblem<T>& p, const GemmKernel& kernel) {
  double cheapest = std::numeric_limits<double>::infinity();
  Method chosen = Method::pack_b;
  for (const MethodRow* row : methods.runnable(dtype_of<T>, 0)) {
    double c = cost(row->method, p, kernel);
    if (c < cheapest) cheapest = c, chosen = row->method;
  }
  return chosen;
}

// A and B of a product in one type, as a method hands them to the tile.
template <class T>
struct Operands {
  const GemmProblem<T>& problem;
  ptrdiff_t nr;
  bool packs_a, packs_b, panel_by_panel;
  ptrdiff_t k, kc, nc;

  Operands(const GemmProblem<T>& p, const GemmKernel& kernel, Method method)
      : problem(p),
        nr(kernel.nr),
        packs_a(method == Method::pack_a || method == Method::pack_ab),
        packs_b((method == Method::pack_b || method == Method::pack_ab) && p.packed_b == nullptr),
        panel_by_panel(!packs_b && p.packed_b == nullptr),
        k(p.k),
        kc(block_of_k(p, panel_by_panel, packs_a, nr)),
        nc(panel_by_panel ? p.n : ceil_div(ceil_div(p.n, ceil_div(p.n, kBlockN)), nr) * nr) {}

  RowsOfA<T> rows(const ProductStep& step, ptrdiff_t i0, ptrdiff_t i1, T* space) const {
    const Matrix<const T>& a = problem.a;
    const T* from = a.data + i0 * a.row + step.k0 * a.col;
    if (!packs_a) return {from, a.row, a.col};
    pack_rows<T>({from, a.row, a.col, 0}, i1 - i0, step.k, space);
    return {space, kPackedRow<T>, 1};
  }

  PanelsOfB<T> panels(const ProductStep& step, ptrdiff_t j0, ptrdiff_t j1, T* space) const {
    if (problem.packed_b) return {problem.packed_b + j0 * k + step.k0 * nr, k * nr, nr};
    const Matrix<const T>& b = problem.b;
    const T* from = b.data + step.k0 * b.row + j0 * b.col;
    if (!packs_b) return {from, nr, b.row};
    pack_panels<T>({from, b.row, b.col, 0}, step.k, j1 - j0, nr, space);
    return {space, packed_panel<T>(step.k, nr), nr};
  }
};

// What is alike for every product of a batch.
template <class T>
struct Plan {
  GemmProblem<T> problem;  // as it is multiplied: transposed where that makes C's rows unit-stride
  Method method;
  const GemmKernel& kernel;
};

template <class T>
Plan<T> plan(GemmProblem<T> p) {
  if (p.n == 1) p.c.col = 1;
  if (p.m == 1) p.c.row = p.n;
  const GemmKernel& kernel = gemm_kernel(dtype_of<T>);
  const Method method = choose(p, kernel);
  if (method == Method::gemv) return {as_columns(p), method, kernel};
  const bool column_vector = p.n == 1 && p.c.row == 1 && p.a.row == 1;
  if (p.packed_b || !((p.c.col != 1 && p.c.row == 1) || column_vector)) return {p, method, kernel};
  p = transposed(p);
  return {p, choose(p, kernel), kernel};
}

template <class T>
void multiply(const Plan<T>& plan, const GemmProblem<T>& p) {
  Product<T, Operands<T>>({p, plan.kernel, plan.method}, plan.kernel).run();
}

// One product of the batch, whose C may lie anyhow: by a copy where its rows are not unit-stride.
template <class T>
void gemm_one(const Plan<T>& plan, GemmProblem<T> p) {
  if (plan.method == Method::gemv) return gemv(p);
  if (p.c.col == 1) return multiply(plan, p);

  Workspace<T> space(size_t(p.m) * size_t(p.n));
  Matrix<T> c = p.c;
  p.c = {space.data(), p.n, 1, 0};
  auto each = [&](auto&& copy) {
    for (ptrdiff_t i = 0; i < p.m; ++i)
      for (ptrdiff_t j = 0; j < p.n; ++j) copy(space[i * p.n + j], c.data[i * c.row + j * c.col]);
  };
  if (p.beta != T(0)) each([](T& ours, T& theirs) { ours = theirs; });
  multiply(plan, p);
  each([](T& ours, T& theirs) { theirs = ours; });
}

}  // namespace

template <class T>
Epilogue<T>::Epilogue()
    : low(-std::numeric_limits<T>::infinity()), high(std::numeric_limits<T>::infinity()) {}
template Epilogue<float>::Epilogue();
template Epilogue<double>::Epilogue();

const GemmKernel& gemm_kernel(Dtype dtype) { return kernels.best(dtype, 0); }

template <class T>
void gemm(const GemmProblem<T>& problem) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;
  FlushDenormals flush;
  const Plan<T> whole = plan(problem);
  over_batch(problem, [&](ptrdiff_t i) {
    GemmProblem<T> p = whole.problem;
    p.a.data += i * p.a.batch;
    p.b.data += i * p.b.batch;
    p.c.data += i * p.c.batch;
    gemm_one(whole, p);
  });
}
template void gemm<float>(const GemmProblem<float>&);
template void gemm<double>(const GemmProblem<double>&);

}  // namespace striate
