// SPDX-License-Identifier: Apache-2.0
// Drives the register tile over a product, blocked after Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008), with B's block in L2 and A's rows in L1:
//
//   for a part of C                           one task, any thread; no task waits for another
//     for jc in its columns by NC
//       for pc in K by KC                     pack B into panels of NR columns: [KC, NC], L2
//         for ic in its rows by MC            pack A: [MC, KC], L2
//           for each tile of MR rows          A's rows [MR, KC]: L1
//             for each panel of NR columns    B's panel streams from L2, asked for 8 steps ahead
//
// Methods, cheapest first by the model in cost():
//   direct   A and B are read where they lie. A panel of B is then the outer loop: it is read once.
//   pack_a   A is copied into rows at a known distance: the tile needs one pointer for all, and no
//            stride of A's maps the rows of a tile to the same cache sets. B in place: few rows.
//   pack_b   B into panels. The register tile reads rows of A by pointer, so A stays in place.
//   pack_ab  both.
//   gemv     a product of one row or one column, by kernels of its own.
//
// Tasks pack for themselves: a block of B is packed again for other rows of C, which costs 3 % at
// 336 rows, and saves the barrier between packing and multiplying.
#include "ops/gemm/gemm.h"

#include <cstring>
#include <limits>

#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/tile.h"
#include "ops/gemv/gemv.h"
#include "ops/layout/layout.h"

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

constexpr ptrdiff_t kBlockM = 112;     // rows of A packed together: a multiple of 4, 6, 14
constexpr ptrdiff_t kBlockN = 384;     // columns of B packed together: a multiple of every NR
constexpr ptrdiff_t kNarrowK = 2048;   // steps of k where C is one panel
constexpr ptrdiff_t kFarK = 128;       // steps of k where B is read in place from beyond L2
constexpr double kFar = 1 << 20;       // bytes of B from which on it is
constexpr double kFurther = 16 << 20;  // bytes of B that no cache of ours holds
#define ROW(name, T, isa, mr, nr)                                             \
  static_assert(kBlockN % nr == 0 && kBlockM % mr <= 4 && mr <= kMaxTileRows, \
                "the blocking does not fit " #name);
#include "ops/gemm/kernels.inc"
#undef ROW
constexpr double kSerialFlops = 4e6;  // below, waking a second core costs more than it brings

ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
template <class T>
T least(T a, T b) {
  return a < b ? a : b;
}

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

template <class T>
GemmProblem<T> transposed(const GemmProblem<T>& p) {
  GemmProblem<T> t = p;
  t.m = p.n, t.n = p.m;
  t.a = {p.b.data, p.b.col, p.b.row, p.b.batch};
  t.b = {p.a.data, p.a.col, p.a.row, p.a.batch};
  t.c = {p.c.data, p.c.col, p.c.row, p.c.batch};
  if (p.epilogue.bias_axis == BiasAxis::row) t.epilogue.bias_axis = BiasAxis::column;
  if (p.epilogue.bias_axis == BiasAxis::column) t.epilogue.bias_axis = BiasAxis::row;
  return t;
}

// The product with one column, if it has one row.
template <class T>
GemmProblem<T> as_column(const GemmProblem<T>& p) {
  return p.m == 1 && p.n != 1 && !p.packed_b ? transposed(p) : p;
}

// Cycles per element, measured on Emerald Rapids: what a method adds to the multiply-adds, which
// all share.
template <class T>
double cost(Method method, const GemmProblem<T>& p, const GemmKernel& kernel) {
  const double infinite = std::numeric_limits<double>::infinity();
  double tiles_n = double(ceil_div(p.n, kernel.nr));
  double a_size = double(p.m) * double(p.k), b_size = double(p.k) * double(p.n);
  double rows_in_place =
      (0.04 + 0.3 * crowding<T>(p.a.col == 1 ? p.a.row : p.a.col)) * a_size * tiles_n;
  if (p.a.col != 1) rows_in_place = (0.15 + 0.5 * crowding<T>(p.a.col)) * a_size * tiles_n;
  double pack_a = (p.a.col == 1 ? 0.4 : 0.8) * a_size + 500;
  double pack_b = p.packed_b ? 0 : (p.b.col == 1 ? 0.35 : 0.8) * b_size + 1000;
  double b_in_place = (0.002 + 0.005 * crowding<T>(p.b.row)) * b_size * double(p.m);
  if (b_size * sizeof(T) > kFurther) b_in_place += 0.6 * b_size;
  if (p.packed_b || p.b.col != 1) b_in_place = infinite;
  switch (method) {
    case Method::direct:
      return rows_in_place + b_in_place;
    case Method::pack_a:
      return pack_a + b_in_place;
    case Method::pack_b:
      return pack_b + rows_in_place;
    case Method::pack_ab:
      return pack_b + pack_a;
    case Method::gemv:
      return is_gemv(as_column(p)) ? 0 : infinite;
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

// One panel [k][nr] from b(k, j), zeros beyond n.
template <class T>
void pack_panel(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr, T* panel) {
  if (n < nr) std::memset(panel, 0, size_t(k * nr) * sizeof(T));
  if (b.col == 1) {
    for (ptrdiff_t i = 0; i < k; ++i)
      std::memcpy(panel + i * nr, b.data + i * b.row, size_t(n) * sizeof(T));
  } else if (b.row == 1) {
    transpose_kernel<T>()(b.data, b.col, n, k, panel, nr);
  } else {
    for (ptrdiff_t i = 0; i < k; ++i)
      for (ptrdiff_t j = 0; j < n; ++j) panel[i * nr + j] = b.data[i * b.row + j * b.col];
  }
}

// Whole panels, row by row over all of them: memory is fastest in long runs, and a copy of known
// size is a few instructions.
template <size_t Bytes, class T>
void pack_rows(const T* b, ptrdiff_t row, ptrdiff_t k, ptrdiff_t panels, T* to) {
  constexpr ptrdiff_t nr = Bytes / sizeof(T);
  for (ptrdiff_t i = 0; i < k; ++i, b += row, to += nr)
    for (ptrdiff_t p = 0; p < panels; ++p) std::memcpy(to + p * k * nr, b + p * nr, Bytes);
}

// Panels [N / NR][k][NR].
template <class T>
void pack_panels(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr, T* to) {
  ptrdiff_t whole = b.col == 1 ? n / nr : 0;
  switch (size_t(nr) * sizeof(T)) {
    case 128:
      pack_rows<128>(b.data, b.row, k, whole, to);
      break;
    case 64:
      pack_rows<64>(b.data, b.row, k, whole, to);
      break;
    default:
      whole = 0;
  }
  for (ptrdiff_t j = whole * nr; j < n; j += nr)
    pack_panel<T>({b.data + j * b.col, b.row, b.col, 0}, k, least(nr, n - j), nr, to + j * k);
}

// One block of A or B as the tiles will read it.
template <class T>
struct Rows {  // A[i, k] = data[i * row + k * step], i from the block's first row on
  const T* data;
  ptrdiff_t row, step;
};
template <class T>
struct Panels {  // B[k, j] = data[j / NR * panel + k * step + j % NR]
  const T* data;
  ptrdiff_t panel, step;
};

template <class T>
class Product {
 public:
  Product(const GemmProblem<T>& p, const GemmKernel& kernel, Method method)
      : p_(p), kernel_(kernel), nr_(kernel.nr), mr_(kernel.mr) {
    pack_a_ = method == Method::pack_a || method == Method::pack_ab;
    pack_b_ = (method == Method::pack_b || method == Method::pack_ab) && p.packed_b == nullptr;
    in_place_ = !pack_b_ && p.packed_b == nullptr;
    kc_ = block_of_k(p, in_place_, pack_a_, nr_);
    nc_ = in_place_ ? p.n : kBlockN;
  }

  void run() {
    if (2.0 * double(p_.m) * double(p_.n) * double(p_.k) <= kSerialFlops)
      return task({0, p_.m, 0, p_.n});
    // Enough tasks to go round. Their edges do not change a result.
    const ptrdiff_t wanted = 4 * ptrdiff_t(num_threads());
    ptrdiff_t mc = p_.m, nc = least(nc_, p_.n);
    auto tasks = [&] { return ceil_div(p_.m, mc) * ceil_div(p_.n, nc); };
    auto halve = [&](ptrdiff_t& size, ptrdiff_t unit, ptrdiff_t least_units) {
      while (num_threads() > 1 && tasks() < wanted && size > least_units * unit)
        size = ceil_div(ceil_div(size, 2), unit) * unit;
    };
    halve(mc, mr_, 24), halve(nc, nr_, 4), halve(mc, mr_, 2), halve(nc, nr_, 1);
    const ptrdiff_t across = ceil_div(p_.n, nc);
    parallel_for(ceil_div(p_.m, mc) * across, [&](ptrdiff_t part) {
      const ptrdiff_t i = part / across * mc, j = part % across * nc;
      task({i, least(i + mc, p_.m), j, least(j + nc, p_.n)});
    });
  }

 private:
  struct Part {  // of C
    ptrdiff_t i0, i1, j0, j1;
  };
  struct Step {  // of k
    ptrdiff_t pc, kc;
    bool first, last;
  };

  // A part of C, over all of K.
  void task(const Part& part) const {
    const ptrdiff_t width = least(nc_, part.j1 - part.j0),
                    height = least(kBlockM, part.i1 - part.i0);
    Workspace<T> b_space(pack_b_ ? size_t(kc_ * ceil_div(width, nr_) * nr_) : 0);
    Workspace<T> a_space(pack_a_ ? size_t(height * kPackedRow<T>) : 0);
    for (ptrdiff_t j = part.j0; j < part.j1; j += nc_) {
      const Part block{part.i0, part.i1, j, least(j + nc_, part.j1)};
      ptrdiff_t pc = 0;
      do {  // once even if K is 0: C is still to be written
        const ptrdiff_t kc = least(kc_, p_.k - pc);
        const Step step{pc, kc, pc == 0, pc + kc >= p_.k};
        const Panels<T> b = pack_b_ ? packed_b(b_space.data(), step, block) : b_in_place(pc, j);
        if (!pack_a_) multiply(a_in_place(step, block), b, step, block);
        for (ptrdiff_t i = part.i0; pack_a_ && i < part.i1; i += kBlockM) {
          const Part rows{i, least(i + kBlockM, part.i1), block.j0, block.j1};
          multiply(packed_a(a_space.data(), step, rows), b, step, rows);
        }
        pc += kc_;
      } while (pc < p_.k);
    }
  }

  Rows<T> a_in_place(const Step& step, const Part& rows) const {
    const Matrix<const T>& a = p_.a;
    return {a.data + rows.i0 * a.row + step.pc * a.col, a.row, a.col};
  }

  Rows<T> packed_a(T* space, const Step& step, const Part& rows) const {
    const Matrix<const T>& a = p_.a;
    const T* from = a.data + rows.i0 * a.row + step.pc * a.col;
    if (a.row == 1 && a.col != 1) {
      transpose_kernel<T>()(from, a.col, step.kc, rows.i1 - rows.i0, space, kPackedRow<T>);
    } else {
      T* to = space;
      for (ptrdiff_t i = rows.i0; i < rows.i1; ++i, from += a.row, to += kPackedRow<T>) {
        if (a.col == 1)
          std::memcpy(to, from, size_t(step.kc) * sizeof(T));
        else
          for (ptrdiff_t k = 0; k < step.kc; ++k) to[k] = from[k * a.col];
      }
    }
    return {space, kPackedRow<T>, 1};
  }

  Panels<T> b_in_place(ptrdiff_t pc, ptrdiff_t j) const {
    if (p_.packed_b) return {p_.packed_b + j * p_.k + pc * nr_, p_.k * nr_, nr_};
    return {p_.b.data + pc * p_.b.row + j, nr_, p_.b.row};
  }

  Panels<T> packed_b(T* space, const Step& step, const Part& block) const {
    const Matrix<const T>& b = p_.b;
    const T* from = b.data + step.pc * b.row + block.j0 * b.col;
    pack_panels(Matrix<const T>{from, b.row, b.col, 0}, step.kc, block.j1 - block.j0, nr_, space);
    return {space, step.kc * nr_, nr_};
  }

  void multiply(const Rows<T>& a, const Panels<T>& b, const Step& step, const Part& block) const {
    const Epilogue<T>& e = p_.epilogue;
    // Tiles of like height: 16 rows are 8 and 8, not 14 and a slow 2.
    const ptrdiff_t height = block.i1 - block.i0, mr = ceil_div(height, ceil_div(height, mr_));
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, step.kc};
    GemmTile<T> tile{&segment,
                     1,
                     a.step,
                     b.step,
                     c,
                     0,
                     0,
                     p_.alpha,
                     step.first ? p_.beta : T(1),
                     nullptr,
                     nullptr,
                     Epilogue<T>().low,
                     Epilogue<T>().high,
                     pack_a_};
    if (step.last) tile.low = e.low, tile.high = e.high;
    const T* bias = step.last ? e.bias : nullptr;
    auto run = [&](ptrdiff_t i, ptrdiff_t j) {
      segment.b = b.data + (j - block.j0) / nr_ * b.panel;
      tile.n = int(least(nr_, block.j1 - j));
      tile.m = int(least(mr, block.i1 - i));
      if (bias && e.bias_axis == BiasAxis::column) tile.bias_n = bias + j;
      if (bias && e.bias_axis == BiasAxis::row) tile.bias_m = bias + i;
      for (int r = 0; r < tile.m; ++r) {
        rows[r] = a.data + (i - block.i0 + r) * a.row;
        c[r] = p_.c.data + (i + r) * p_.c.row + j;
      }
      kernel_.run(tile);
    };
    // A panel of B that lies in memory is read once; one that is packed lies in L2, and the rows of
    // A stay in L1 meanwhile.
    if (in_place_) {
      for (ptrdiff_t j = block.j0; j < block.j1; j += nr_)
        for (ptrdiff_t i = block.i0; i < block.i1; i += mr) run(i, j);
    } else {
      for (ptrdiff_t i = block.i0; i < block.i1; i += mr)
        for (ptrdiff_t j = block.j0; j < block.j1; j += nr_) run(i, j);
    }
    if (!step.last || e.activation == nullptr) return;
    for (ptrdiff_t i = block.i0; i < block.i1; ++i) {
      T* row = p_.c.data + i * p_.c.row + block.j0;
      e.activation(row, row, block.j1 - block.j0, e.parameter);
    }
  }

  const GemmProblem<T>& p_;
  const GemmKernel& kernel_;
  const ptrdiff_t nr_, mr_;
  bool pack_a_, pack_b_, in_place_;
  ptrdiff_t kc_, nc_;
};

// One product whose C may lie anyhow: rows of C become unit-stride by transposing, or by a copy.
template <class T>
void gemm_one(GemmProblem<T> p) {
  if (p.n == 1) p.c.col = 1;
  if (p.m == 1) p.c.row = p.n;
  const GemmKernel& kernel = gemm_kernel(dtype_of<T>);
  if (choose(p, kernel) == Method::gemv) return gemv(as_column(p));
  bool column_vector = p.n == 1 && p.c.row == 1 && p.a.row == 1;
  if ((p.c.col != 1 && p.c.row == 1 && !p.packed_b) || (column_vector && !p.packed_b))
    p = transposed(p);
  if (p.c.col == 1) return Product<T>(p, kernel, choose(p, kernel)).run();

  Workspace<T> space(size_t(p.m) * size_t(p.n));
  Matrix<T> c = p.c;
  p.c = {space.data(), p.n, 1, 0};
  auto each = [&](auto&& copy) {
    for (ptrdiff_t i = 0; i < p.m; ++i)
      for (ptrdiff_t j = 0; j < p.n; ++j) copy(space[i * p.n + j], c.data[i * c.row + j * c.col]);
  };
  if (p.beta != T(0)) each([](T& ours, T& theirs) { ours = theirs; });
  Product<T>(p, kernel, choose(p, kernel)).run();
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
  auto one = [&](ptrdiff_t i) {
    GemmProblem<T> p = problem;
    p.a.data += i * p.a.batch;
    p.b.data += i * p.b.batch;
    p.c.data += i * p.c.batch;
    gemm_one(p);
  };
  double flops = 2.0 * double(problem.m) * double(problem.n) * double(problem.k);
  bool inside = flops > 5e7 && problem.batch < 4 * ptrdiff_t(num_threads());
  if (problem.batch > 1 && !inside && flops * double(problem.batch) > kSerialFlops)
    return parallel_for(problem.batch, one);
  for (ptrdiff_t i = 0; i < problem.batch; ++i) one(i);
}
template void gemm<float>(const GemmProblem<float>&);
template void gemm<double>(const GemmProblem<double>&);

template <class T>
size_t packed_b_size(ptrdiff_t k, ptrdiff_t n) {
  ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  return size_t(ceil_div(n, nr) * nr * k);
}
template size_t packed_b_size<float>(ptrdiff_t, ptrdiff_t);
template size_t packed_b_size<double>(ptrdiff_t, ptrdiff_t);

template <class T>
void pack_b(const Matrix<const T>& b, ptrdiff_t k, ptrdiff_t n, T* packed, ptrdiff_t panel_rows) {
  ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr, panel = (panel_rows ? panel_rows : k) * nr;
  auto pack = [&](ptrdiff_t part) {
    ptrdiff_t j = part * nr;
    pack_panel<T>({b.data + j * b.col, b.row, b.col, 0}, k, least(nr, n - j), nr,
                  packed + part * panel);
  };
  if (k * n > 1 << 16) return parallel_for(ceil_div(n, nr), pack);
  for (ptrdiff_t part = 0; part < ceil_div(n, nr); ++part) pack(part);
}
template void pack_b<float>(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, float*, ptrdiff_t);
template void pack_b<double>(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, double*, ptrdiff_t);

}  // namespace striate
