// SPDX-License-Identifier: Apache-2.0
// Ways to drive the register tile over a product (product.h), cheapest first by the model in
// cost():
//   direct   A and B are read where they lie.
//   pack_a   A is copied into rows at a known distance: the tile needs one pointer for all, and no
//            stride of A's maps the rows of a tile to the same cache sets.
//   pack_b   B, whose rows are not contiguous, is turned into panels; A stays in place.
//   pack_ab  both.
//   gemv     a product of one row or one column, or of a few rows with a B that comes from afar, by
//            kernels of its own.
//   dot      a product of few rows with a B that lies along k, as A does: neither is copied.
//   wide     few columns, some more than whole panels of three vectors hold: the larger A, along k,
//            is read once where it lies (wide.h).
// A B with contiguous rows is read where it lies, at any size: the tile asks for it two panels
// ahead. (One core of a Zen 4, GF/s in place and in panels: 16 x 1760 x 1760 109 and 79, 64 x 4096
// x 4096 105 and 81, 1760 cubed 102 and 100; before the tile asked so far ahead, panels won.)
//
// Each is asked about the product and about its transpose, C^T = B^T A^T. With few rows and a B
// that lies along k, the transpose turns A and C, which are small, and reads B in place as rows:
// 32 x 1760 x 1760 from 125 to 250 GF/s, 128 x 4096 x 4096 from 197 to 244; 35 columns are better
// 35 rows: 1500 x 35 x 2048 from 122 to 193 (Zen 5, one core).
#include "ops/gemm/gemm.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/dot/dot.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/product.h"
#include "ops/gemm/tile.h"
#include "ops/gemm/wide.h"
#include "ops/gemv/gemv.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

const Table<GemmKernel> kernels{
#define ROW(name, T, isa, mr, nr, shape)                                                          \
  STRIATE_WITH_##isa(                                                                             \
      GemmKernel{{{"gemm", "kernel", #name, dtype_of<T>, Isa::isa, int(TileShape::shape)},        \
                  reinterpret_cast<void (*)()>(static_cast<void (*)(const GemmTile<T>&)>(name))}, \
                 mr,                                                                              \
                 nr}, )
#include "ops/gemm/kernels.inc"
#undef ROW
};

enum class Method { direct, pack_a, pack_b, pack_ab, gemv, dot, wide };
struct MethodRow : Row {
  Method method;
};
const Table<MethodRow> methods{
#define ROW(name, T, way) \
  MethodRow{{"gemm", "method", #name, dtype_of<T>, Isa::scalar, 0}, Method::way},
#include "ops/gemm/methods.inc"
#undef ROW
};

constexpr ptrdiff_t kNarrowK = 2048;  // steps of k at most where C is narrow and A in place
constexpr double kFar = 16 << 20;     // bytes of an operand from which on it comes from afar
#define ROW(name, T, isa, mr, nr, shape)                                           \
  static_assert(kLeastBlockN % nr == 0 && kBlockM % mr <= 4 && mr <= kMaxTileRows, \
                "the blocking does not fit " #name);
#include "ops/gemm/kernels.inc"
#undef ROW

// Whether the rows of k lie one behind the other in both operands, as in the gradient of a layer's
// weights: blocks of k are two runs of memory, of which the next is asked for during this one
// (64 x 64 over 100,000 steps, a Zen 3: 67 and 70 GF/s, before A was packed by columns 55). Of less
// than a few L2 it is not worth the shorter blocks: 256 cubed 89 and 86.
template <class T>
bool is_streamed(const GemmProblem<T>& p) {
  const double bytes = double(p.m + p.n) * double(p.k) * sizeof(T);
  return p.a.row == 1 && p.a.col == p.m && p.b.col == 1 && p.b.row == p.n &&
         bytes > 4 * double(l2_bytes());
}
// Steps of k of which half of L2 holds so many elements each.
template <class T>
ptrdiff_t steps_of_next(ptrdiff_t elements) {
  return l2_bytes() / 2 / ptrdiff_t(sizeof(T)) / elements / 8 * 8;
}
constexpr ptrdiff_t kLeastStreamedK = 128;

// Steps of k at a time, in blocks of like size: a short last one would pay a tile's beginning and
// end for few steps. Rows in place are fastest in long runs, of which panels of few columns leave
// room in L2 for more.
template <class T>
ptrdiff_t block_of_k(const GemmProblem<T>& p, bool in_place, bool pack_a, ptrdiff_t nr) {
  ptrdiff_t most = kPackedK<T>;
  if (pack_a && !in_place && is_streamed(p)) {
    const ptrdiff_t fits = steps_of_next<T>(p.m + p.n);
    if (fits >= kLeastStreamedK) most = std::min(most, fits);
  }
  if (!pack_a && (!in_place || p.n <= nr)) {
    const ptrdiff_t row = ceil_div(p.n, nr) * nr * ptrdiff_t(sizeof(T));
    most = std::clamp(l2_bytes() / 2 / row, kPackedK<T>, kNarrowK);
  }
  const ptrdiff_t blocks = ceil_div(p.k, most);
  return blocks <= 1 ? p.k : ceil_div(ceil_div(p.k, blocks), 8) * 8;
}

// How many of `rows` elements that far apart an L1 lacks ways for, as a part of its ways.
template <class T>
double crowding(ptrdiff_t stride, ptrdiff_t rows) {
  const ptrdiff_t bytes = ptrdiff_t(size_t(stride) * sizeof(T) % size_t(kL1WayBytes));
  const ptrdiff_t sets = kL1WayBytes / std::gcd(bytes, kL1WayBytes), ways = l1_ways();
  return double(std::max<ptrdiff_t>(ceil_div(rows, sets) - ways, 0)) / double(ways);
}

// How many times over so many rows fill the ways of the sets of L2, of 16 ways, that they fall
// into.
template <class T>
double fills_l2(ptrdiff_t stride, ptrdiff_t rows) {
  const ptrdiff_t way = l2_bytes() / 16,
                  bytes = ptrdiff_t(size_t(stride) * sizeof(T) % size_t(way));
  return double(rows) / double(16 * (way / std::gcd(bytes, way)));
}

// What the rows of a B in place cost an element of it, since every tile of rows reads them again:
// panels that L2 can't hold come from further away; those of one line a step don't stay in L1,
// which six rows of multiply-adds are too short to hide. (Zen 3, in place and in panels, GF/s: 16
// x 1760 x 1760 74 and 55, 128 rows 67 and 85, 64 x 3072 x 1024 51 and 78, 512 cubed 62 and 95.
// Where L3 is far, Granite Rapids: 1024 x 1024 x 512 143 and 188, 32 rows 103 and 121.)
template <class T>
double reread_b(const GemmProblem<T>& p, const GemmKernel& kernel) {
  const ptrdiff_t steps = std::min(p.k, kPackedK<T>);
  if (kernel.nr * ptrdiff_t(sizeof(T)) > 64) {
    const double fills = fills_l2<T>(p.b.row, steps);
    if (l3_is_far()) return (fills >= 1 ? 0.015 : 0.001) * double(p.m);
    return fills > 2 ? 0.001 * double(p.m) : 0;
  }
  const double crowd = crowding<T>(p.b.row, steps);
  if (crowd == 0 && steps <= 256) return 0;
  return 0.04 * double(std::max<ptrdiff_t>(p.m - (crowd > 4 ? 24 : 48), 0));
}

// Rows of a tile whose A lies in place. Half as many take no more loads than fit beside the
// multiply-adds, and need half the ways of L1. One vector of columns makes a chain a row, and has
// no loads to spare for pointers beyond eight.
template <class T>
ptrdiff_t tile_height(const GemmProblem<T>& p, const GemmKernel& kernel) {
  const ptrdiff_t most = p.n <= kernel.nr / 2 ? std::min(kernel.mr, 8) : kernel.mr;
  const bool crowded = p.a.col == 1 && crowding<T>(p.a.row, std::min(most, p.m)) > 0;
  return crowded ? std::min<ptrdiff_t>(ceil_div(kernel.mr, 2), most) : most;
}

// The product with few columns, if it has few rows.
template <class T>
GemmProblem<T> as_columns(const GemmProblem<T>& p) {
  return p.m <= kFewVectors && p.n > p.m && !p.packed_b ? transposed(p) : p;
}

// Cycles per element, measured on Emerald Rapids, Zen 4 and Zen 5: what a method adds to the
// multiply-adds, which all share.
template <class T>
double cost(Method method, const GemmProblem<T>& p, const GemmKernel& kernel) {
  const double infinite = std::numeric_limits<double>::infinity();
  const double panels = double(ceil_div(p.n, kernel.nr));
  const Matrix<const T>&a = p.a, &b = p.b;
  const double a_size = double(p.m) * double(p.k), b_size = double(p.k) * double(p.n);
  // Rows of A pass again for every panel, from as far as all of them reach; beside packed panels a
  // block of them stays in L1.
  const ptrdiff_t height = std::min(tile_height(p, kernel), p.m);
  const double crowd = a.col == 1 ? crowding<T>(a.row, height) : crowding<T>(a.col, p.k);
  const double scattered = 0.15 + 0.5 * std::min(crowd, 1.0), bytes = a_size * sizeof(T);
  const double again = bytes > kFar ? 0.4 : bytes > double(l2_bytes()) / 2 ? 0.07 : 0.04;
  // A tile of half the rows asks L2 for as much of B as a whole one, in half the time. (Granite
  // Rapids, A in place and copied, GF/s: 1024 cubed 152 and 180, 64 x 4096 x 1024 119 and 140; on a
  // Zen 5 they are alike.)
  const bool tall = kernel.mr > 8, far = tall && l3_is_far();
  const bool halved = height < std::min<ptrdiff_t>(kernel.mr, p.m) && p.n > kernel.nr;
  const double half = far && halved ? 0.13 : 0;
  const double beside_panels = (a.col == 1 ? 0.002 + crowd * crowd + half : scattered) * a_size;
  const double in_place = (a.col == 1 ? again + 1.2 * crowd : scattered) * a_size;
  const double by_columns = p.m <= kBlockM ? 0.3 : 0.6;
  const double pack_a = (a.col == 1 ? 0.3 : a.row == 1 ? by_columns : 0.8) * a_size + 500;
  const double turn_b = b_size * sizeof(T) > kFar ? 1 : 0.5;
  const double pack_b = p.packed_b ? 0 : (b.col == 1 ? 0.3 : turn_b) * b_size + 1000;
  const bool b_as_it_lies = !p.packed_b && b.col == 1;
  const double reread = reread_b<T>(p, kernel);
  // Multiply-adds of the part of the last vector that is beyond the columns.
  const ptrdiff_t lanes = kernel.nr / 2, beyond = ceil_div(p.n, lanes) * lanes - p.n;
  // One vector of columns: each row is a chain, and eight of them few.
  const double narrow = tall && p.n <= lanes ? 0.27 * a_size : 0;
  const double idle = double(beyond) / double(lanes) * a_size + narrow;
  switch (method) {
    case Method::direct:
      return b_as_it_lies ? idle + reread * b_size + beside_panels +
                                (in_place + half * a_size) * (panels - 1)
                          : infinite;
    case Method::pack_a:
      return b_as_it_lies ? idle + reread * b_size + pack_a : infinite;
    case Method::pack_b:
      return idle + pack_b + beside_panels * panels;
    case Method::pack_ab:
      return idle + pack_b + pack_a;
    case Method::dot: {
      if (!is_dot(p)) return infinite;
      const bool few_rows = p.m <= p.n;
      const double copy = few_rows ? (a.col == 1 ? 0 : a_size) : b.row == 1 ? 0 : b_size;
      // Sums across a vector, and loads beside the multiply-adds: fewer for tiles of 4 by 6. Four
      // rows of A at a time are short runs of what comes from afar.
      const double each = tall ? 4 + 0.018 * double(p.k) : 8 + 0.03 * double(p.k);
      const double short_runs = tall && !few_rows && bytes > kFar ? 0.35 * a_size : 0;
      return copy + short_runs + each * double(p.m) * double(p.n);
    }
    case Method::gemv: {
      const GemmProblem<T> q = as_columns(p);
      if (!is_gemv(q)) return infinite;
      return q.n == 1 || b_size * sizeof(T) > kFar ? 0 : infinite;
    }
    case Method::wide: {
      if (!is_wide(p)) return infinite;
      const double rest = double(p.n % gemm_kernel(dtype_of<T>, TileShape::wide).nr);
      // Eight rows ask L2 for more of B than fourteen (25,088 x 192 x 64 on a Granite Rapids: 138
      // and 158 GF/s).
      const double more = far ? 0.004 * double(p.n) * a_size : 0;
      return 0.5 * b_size + more + rest * double(p.m) * (4 + 0.018 * double(p.k)) + 1000;
    }
  }
  return infinite;
}

// The cheapest method.
template <class T>
struct Choice {
  Method method = Method::pack_b;
  double cost = std::numeric_limits<double>::infinity();

  Choice(const GemmProblem<T>& p, const GemmKernel& kernel) {
    for (const MethodRow* row : methods.runnable(dtype_of<T>, 0)) {
      const double c = striate::cost(row->method, p, kernel) + turn_c(row->method, p);
      if (c < cost) cost = c, method = row->method;
    }
  }

  // C is made elsewhere and turned.
  static double turn_c(Method method, const GemmProblem<T>& p) {
    const double size = double(p.m) * double(p.n);
    if (method == Method::gemv || p.c.col == 1) return 0;
    if (method == Method::wide) return 0.5 * size;  // by few rows at a time
    return (p.beta == T(0) ? 1 : 2) * (size * sizeof(T) > kFar ? 4 : 2) * size + 1000;
  }
};

// A and B of a product in one type, as a method hands them to the tile.
template <class T>
struct Operands {
  const GemmProblem<T>& problem;
  ptrdiff_t nr, mr;
  bool packs_a, packs_b, panel_by_panel;
  ptrdiff_t k, kc, nc, height;

  Operands(const GemmProblem<T>& p, const GemmKernel& kernel, Method method)
      : problem(p),
        nr(kernel.nr),
        mr(kernel.mr),
        packs_a(method == Method::pack_a || method == Method::pack_ab),
        packs_b((method == Method::pack_b || method == Method::pack_ab) && p.packed_b == nullptr),
        panel_by_panel(!packs_b && p.packed_b == nullptr),
        k(p.k),
        kc(block_of_k(p, panel_by_panel, packs_a, nr)),
        nc(panel_by_panel ? p.n
                          : ceil_div(ceil_div(p.n, ceil_div(p.n, block_n<T>(p.m, nr))), nr) * nr),
        height(tile_height(p, kernel)) {}

  RowsOfA<T> rows(const ProductStep& step, ptrdiff_t i0, ptrdiff_t i1, T* space) const {
    const Matrix<const T>& a = problem.a;
    const T* from = a.data + i0 * a.row + step.k0 * a.col;
    if (!packs_a) return {from, a.row, a.col, height};
    const Matrix<const T> block{from, a.row, a.col, 0};
    if (a.row == 1 && a.col != 1) {
      const ptrdiff_t tile = like_height(i1 - i0, mr);
      pack_columns<T>(block, i1 - i0, step.k, tile, space);
      return {space, 1, tile, mr, packed_panel<T>(step.k, tile)};
    }
    pack_rows<T>(block, i1 - i0, step.k, space);
    return {space, kPackedRow<T>, 1};
  }

  NextBlock<T> next(const ProductStep& step, const BlockOfC& c) const {
    const Matrix<const T>&a = problem.a, &b = problem.b;
    const ptrdiff_t begin = step.k0 + step.k, steps = std::min(kc, k - begin);
    const bool whole = c.i1 - c.i0 == problem.m && c.j1 - c.j0 == problem.n;
    if (!whole || !packs_a || !packs_b || !is_streamed(problem)) return {};
    if (steps > steps_of_next<T>(problem.m + problem.n)) return {};
    return {a.data + begin * a.col, b.data + begin * b.row, steps * a.col, steps * b.row};
  }

  PanelsOfB<T> panels(const ProductStep& step, ptrdiff_t j0, ptrdiff_t j1, T* space) const {
    if (problem.packed_b) return {problem.packed_b + j0 * k + step.k0 * nr, k * nr, nr};
    const Matrix<const T>& b = problem.b;
    const T* from = b.data + step.k0 * b.row + j0 * b.col;
    if (!packs_b) return {from, nr, b.row, l3_is_far() && fills_l2<T>(b.row, step.k) <= 0.5};
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
  ptrdiff_t beyond = 0;  // columns beyond whole vectors that go by `dot`
};

// Columns [begin, begin + n).
template <class T>
GemmProblem<T> columns_of(GemmProblem<T> p, ptrdiff_t begin, ptrdiff_t n) {
  p.b.data += begin * p.b.col, p.c.data += begin * p.c.col, p.n = n;
  if (p.epilogue.bias && p.epilogue.bias_axis == BiasAxis::column) p.epilogue.bias += begin;
  return p;
}

// One or two columns beyond whole vectors, where rows of A and columns of B lie along k: `dot`
// takes a tenth of a vector's multiply-adds for them (169 x 129 x 127 on a Zen 5: 28.2 and 26.0
// us).
template <class T>
ptrdiff_t columns_beyond(const GemmProblem<T>& p, const GemmKernel& kernel) {
  constexpr ptrdiff_t kMost = 2, kLeastK = 64, kLeastM = 32;
  const ptrdiff_t beyond = p.n % (kernel.nr / 2);
  const bool few = beyond > 0 && beyond <= kMost && p.n > kernel.nr / 2;
  return few && p.m >= kLeastM && p.k >= kLeastK && p.a.col == 1 && p.b.row == 1 && is_dot(p)
             ? beyond
             : 0;
}

template <class T>
Plan<T> plan(GemmProblem<T> p) {
  if (p.n == 1) p.c.col = 1;
  if (p.m == 1) p.c.row = p.n;
  const GemmKernel& kernel = gemm_kernel(dtype_of<T>);
  const Choice<T> straight(p, kernel);
  if (straight.method == Method::gemv) return {as_columns(p), Method::gemv, kernel};
  // Where C is small, turning the problem brings less than asking takes.
  constexpr double kSmall = 1 << 15;
  const bool small = double(p.m) * double(p.n) * double(p.k) < kSmall;
  if (p.packed_b || (small && p.c.col == 1)) return {p, straight.method, kernel};
  const GemmProblem<T> t = transposed(p);
  const Choice<T> turned(t, kernel);
  if (turned.cost < straight.cost) return {t, turned.method, kernel, columns_beyond(t, kernel)};
  return {p, straight.method, kernel, columns_beyond(p, kernel)};
}

template <class T>
void multiply(const Plan<T>& plan, const GemmProblem<T>& p) {
  Product<T, Operands<T>>({p, plan.kernel, plan.method}, plan.kernel).run();
}

// One product of the batch, whose C may lie anyhow: by a copy where its rows are not unit-stride.
template <class T>
void gemm_one(const Plan<T>& plan, GemmProblem<T> p) {
  if (plan.method == Method::gemv) return gemv(p);
  if (plan.method == Method::dot) return dot(p);
  if (plan.method == Method::wide) return gemm_wide(p);
  if (plan.beyond > 0) {
    multiply(plan, columns_of(p, 0, p.n - plan.beyond));
    return dot(columns_of(p, p.n - plan.beyond, plan.beyond));
  }
  if (p.c.col == 1) return multiply(plan, p);

  Workspace<T> space(size_t(p.m) * size_t(p.n));
  const Operand c{p.c.data, dtype_of<T>, 2, {p.m, p.n}, {p.c.row, p.c.col}};
  const Operand ours{space.data(), dtype_of<T>, 2, {p.m, p.n}, {p.n, 1}};
  if (p.beta != T(0)) copy(c, ours);
  p.c = {space.data(), p.n, 1, 0};
  multiply(plan, p);
  copy(ours, c);
}

// Whether each product of the batch is one tile, and nothing is to be done around it.
template <class T>
bool is_tile(const Plan<T>& plan) {
  const GemmProblem<T>& p = plan.problem;
  return plan.method == Method::direct && p.m <= plan.kernel.mr && p.n <= plan.kernel.nr &&
         p.k <= kPackedK<T> && p.c.col == 1 && p.epilogue.activation == nullptr;
}

// Products [begin, end) of such a batch: 8 x 8 x 8 takes less time than setting up a product.
template <class T>
void multiply_tiles(const Plan<T>& plan, ptrdiff_t begin, ptrdiff_t end) {
  const GemmProblem<T>& p = plan.problem;
  const Epilogue<T>& e = p.epilogue;
  const T* a[kMaxTileRows];
  T* c[kMaxTileRows];
  GemmSegment<T> segment{a, 0, nullptr, p.k};
  const bool by_row = e.bias_axis == BiasAxis::row;
  const GemmTile<T> tile{&segment,
                         1,
                         p.a.col,
                         p.b.row,
                         c,
                         int(p.m),
                         int(p.n),
                         p.alpha,
                         p.beta,
                         by_row ? nullptr : e.bias,
                         by_row ? e.bias : nullptr,
                         e.low,
                         e.high};
  for (ptrdiff_t i = begin; i < end; ++i) {
    segment.b = p.b.data + i * p.b.batch;
    for (ptrdiff_t r = 0; r < p.m; ++r) {
      a[r] = p.a.data + i * p.a.batch + r * p.a.row;
      c[r] = p.c.data + i * p.c.batch + r * p.c.row;
    }
    plan.kernel.run(tile);
  }
}

}  // namespace

template <class T>
Epilogue<T>::Epilogue()
    : low(-std::numeric_limits<T>::infinity()), high(std::numeric_limits<T>::infinity()) {}
template Epilogue<float>::Epilogue();
template Epilogue<double>::Epilogue();

const GemmKernel& gemm_kernel(Dtype dtype, TileShape shape) {
  return kernels.best(dtype, int(shape));
}

template <class T>
void gemm(const GemmProblem<T>& problem) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;
  FlushDenormals flush;
  const Plan<T> whole = plan(problem);
  if (is_tile(whole)) {
    const double flops = 2.0 * double(problem.m) * double(problem.n) * double(problem.k);
    if (flops * double(problem.batch) <= kSerialFlops)
      return multiply_tiles(whole, 0, problem.batch);
    return parallel_ranges(
        problem.batch, ptrdiff_t(kSerialFlops / 8 / (flops + 1)) + 1, 1,
        [&](ptrdiff_t begin, ptrdiff_t end) { multiply_tiles(whole, begin, end); });
  }
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
