// SPDX-License-Identifier: Apache-2.0
// Drives the register tile over a product, blocked as in Goto and van de Geijn, "Anatomy of
// High-Performance Matrix Multiplication" (2008):
//
//   for jc in N by NC                         B block [KC, NC]: L3
//     for pc in K by KC                       pack B into panels of NR columns
//       for (ic in M by MC) x (jr in NC by columns of a task)        one task, any thread
//         for each panel of NR columns        B panel [KC, NR]: L1
//           for each tile of MR rows          A block [MC, KC]: L2
//
// Methods, cheapest first by the model in cost():
//   direct   A and B are read where they lie. For few rows, where packing B would not pay.
//   pack_b   B into panels. The register tile reads rows of A by pointer, so A stays in place.
//   pack_ab  A is copied too, into rows a few lines apart, where its own stride would map the rows
//            of a tile to the same cache sets.
//   gemv     a product of one row or one column, by kernels of its own.
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

enum class Method { direct, pack_b, pack_ab, gemv };
struct MethodRow : Row {
  Method method;
};
const Table<MethodRow> methods{
#define ROW(name, T, way) \
  MethodRow{{"gemm", "method", #name, dtype_of<T>, Isa::scalar, 0}, Method::way},
#include "ops/gemm/methods.inc"
#undef ROW
};

constexpr ptrdiff_t kBlockK = 512;   // at most; K is cut into blocks of like size
constexpr ptrdiff_t kBlockM = 84;    // a multiple of 4, 6, 14
constexpr ptrdiff_t kBlockN = 3072;  // a multiple of every NR
constexpr ptrdiff_t kTaskColumns = 256;
#define ROW(name, T, isa, mr, nr) \
  static_assert(kBlockN % nr == 0 && mr <= kMaxTileRows, "the blocking does not fit " #name);
#include "ops/gemm/kernels.inc"
#undef ROW
constexpr double kSerialFlops = 4e6;  // below, waking a second core costs more than it brings

ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
template <class T>
T least(T a, T b) {
  return a < b ? a : b;
}

// K in blocks of like size: a short last one would pay a tile's beginning and end for few steps.
ptrdiff_t block_of_k(ptrdiff_t k) {
  ptrdiff_t blocks = ceil_div(k, kBlockK);
  return blocks <= 1 ? k : ceil_div(ceil_div(k, blocks), 8) * 8;
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

// Cycles per element, measured on Zen 5: what a method adds to the multiply-adds, which all share.
template <class T>
double cost(Method method, const GemmProblem<T>& p, const GemmKernel& kernel) {
  const double infinite = std::numeric_limits<double>::infinity();
  double tiles_m = double(ceil_div(p.m, kernel.mr)), tiles_n = double(ceil_div(p.n, kernel.nr));
  double a_size = double(p.m) * double(p.k), b_size = double(p.k) * double(p.n);
  double rows_in_place = 0.10 * crowding<T>(p.a.col == 1 ? p.a.row : p.a.col) * a_size * tiles_n;
  if (p.a.col != 1 && p.a.row != 1) rows_in_place = 0.10 * a_size * tiles_n;
  double pack_a = 0.6 * a_size + 2000;
  double pack_b = (p.b.col == 1 ? 0.4 : 1.0) * b_size + 1000;
  switch (method) {
    case Method::direct:
      if (p.packed_b != nullptr || p.b.col != 1) return infinite;
      return rows_in_place + (0.003 + 0.03 * crowding<T>(p.b.row)) * b_size * tiles_m;
    case Method::pack_b:
      return (p.packed_b ? 0 : pack_b) + rows_in_place;
    case Method::pack_ab:
      return (p.packed_b ? 0 : pack_b) + pack_a;
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

// Panels [panels][rows][nr] from b(k, j), zeros beyond n.
template <class T>
void pack_panel(const T* b, ptrdiff_t row, ptrdiff_t col, ptrdiff_t k, ptrdiff_t n, ptrdiff_t nr,
                T* panel) {
  if (n < nr) std::memset(panel, 0, size_t(k * nr) * sizeof(T));
  if (col == 1) {
    for (ptrdiff_t i = 0; i < k; ++i) std::memcpy(panel + i * nr, b + i * row, n * sizeof(T));
  } else if (row == 1) {
    transpose_kernel<T>()(b, col, n, k, panel, nr);
  } else {
    for (ptrdiff_t i = 0; i < k; ++i)
      for (ptrdiff_t j = 0; j < n; ++j) panel[i * nr + j] = b[i * row + j * col];
  }
}

// One block of A or B as the tiles will read it.
template <class T>
struct Rows {  // A[i, k] = data[i * row + k * step]
  const T* data;
  ptrdiff_t row, step;
};
template <class T>
struct Panels {  // B[k, j] = data[j / NR * panel + k * step + j % NR]
  const T* data;
  ptrdiff_t panel, step;
};

template <class T>
struct Block {
  ptrdiff_t i0, i1, j0, j1;  // of C
  ptrdiff_t jc, k;           // B's panels begin at column jc
  bool first, last;          // of the K blocks
};

template <class T>
class Product {
 public:
  Product(const GemmProblem<T>& p, const GemmKernel& kernel, Method method)
      : p_(p), kernel_(kernel), method_(method) {
    threaded_ = 2.0 * double(p.m) * double(p.n) * double(p.k) > kSerialFlops;
  }

  void run() {
    const ptrdiff_t nr = kernel_.nr;
    bool pack_b = method_ != Method::direct && p_.packed_b == nullptr;
    bool pack_a = method_ == Method::pack_ab;
    ptrdiff_t kc_most = block_of_k(p_.k), nc_most = least(ceil_div(p_.n, nr) * nr, kBlockN);
    Workspace<T> b_space(pack_b ? size_t(kc_most * nc_most) : 0);
    a_row_ = kc_most + 64 / ptrdiff_t(sizeof(T));
    Workspace<T> a_space(pack_a ? size_t(p_.m * a_row_) : 0);

    for (ptrdiff_t jc = 0; jc < p_.n; jc += kBlockN) {
      ptrdiff_t j_end = least(jc + kBlockN, p_.n);
      ptrdiff_t pc = 0;
      do {  // once even if K is 0: C is still to be written
        ptrdiff_t kc = least(kc_most, p_.k - pc);
        Panels<T> b = pack_b ? packed_b_block(b_space.data(), pc, kc, jc, j_end) : b_block(pc, jc);
        Rows<T> a = pack_a ? packed_a_block(a_space.data(), pc, kc) : a_block(pc);
        multiply(a, b, {0, p_.m, jc, j_end, jc, kc, pc == 0, pc + kc >= p_.k});
        pc += kc_most;
      } while (pc < p_.k);
    }
  }

 private:
  template <class F>
  void share(ptrdiff_t parts, F&& body) {
    if (threaded_)
      parallel_for(parts, body);
    else
      for (ptrdiff_t part = 0; part < parts; ++part) body(part);
  }

  Rows<T> a_block(ptrdiff_t pc) const { return {p_.a.data + pc * p_.a.col, p_.a.row, p_.a.col}; }

  Rows<T> packed_a_block(T* space, ptrdiff_t pc, ptrdiff_t kc) {
    const Matrix<const T>& a = p_.a;
    share(ceil_div(p_.m, kBlockM), [&](ptrdiff_t part) {
      ptrdiff_t i0 = part * kBlockM, i1 = least(i0 + kBlockM, p_.m);
      const T* from = a.data + i0 * a.row + pc * a.col;
      T* to = space + i0 * a_row_;
      if (a.row == 1) return transpose_kernel<T>()(from, a.col, kc, i1 - i0, to, a_row_);
      for (ptrdiff_t i = 0; i < i1 - i0; ++i, from += a.row, to += a_row_) {
        if (a.col == 1)
          std::memcpy(to, from, size_t(kc) * sizeof(T));
        else
          for (ptrdiff_t k = 0; k < kc; ++k) to[k] = from[k * a.col];
      }
    });
    return {space, a_row_, 1};
  }

  Panels<T> b_block(ptrdiff_t pc, ptrdiff_t jc) const {
    ptrdiff_t nr = kernel_.nr;
    if (p_.packed_b) return {p_.packed_b + jc * p_.k + pc * nr, p_.k * nr, nr};
    return {p_.b.data + pc * p_.b.row + jc, nr, p_.b.row};
  }

  Panels<T> packed_b_block(T* space, ptrdiff_t pc, ptrdiff_t kc, ptrdiff_t jc, ptrdiff_t j_end) {
    ptrdiff_t nr = kernel_.nr;
    const Matrix<const T>& b = p_.b;
    share(ceil_div(j_end - jc, nr), [&](ptrdiff_t part) {
      ptrdiff_t j = jc + part * nr;
      pack_panel(b.data + pc * b.row + j * b.col, b.row, b.col, kc, least(nr, j_end - j), nr,
                 space + part * kc * nr);
    });
    return {space, kc * nr, nr};
  }

  // Cuts C's columns [block.j0, block.j1) and all its rows into tasks.
  void multiply(const Rows<T>& a, const Panels<T>& b, const Block<T>& block) {
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr;
    ptrdiff_t mc = kBlockM, nc = ceil_div(kTaskColumns, nr) * nr;  // whole panels of B
    if (threaded_) {  // enough tasks to go round; their edges do not change a result
      ptrdiff_t wanted = 4 * ptrdiff_t(num_threads());
      auto tasks = [&] { return ceil_div(block.i1, mc) * ceil_div(block.j1 - block.j0, nc); };
      while (tasks() < wanted && nc > nr) nc = ceil_div(nc / 2, nr) * nr;
      while (tasks() < wanted && mc > 2 * mr) mc = ceil_div(mc / 2, mr) * mr;
    }
    ptrdiff_t across = ceil_div(block.j1 - block.j0, nc);
    share(ceil_div(block.i1, mc) * across, [&](ptrdiff_t part) {
      Block<T> task = block;
      task.i0 = part / across * mc;
      task.i1 = least(task.i0 + mc, block.i1);
      task.j0 = block.j0 + part % across * nc;
      task.j1 = least(task.j0 + nc, block.j1);
      multiply_task(a, b, task);
    });
  }

  void multiply_task(const Rows<T>& a, const Panels<T>& b, const Block<T>& task) const {
    const Epilogue<T>& e = p_.epilogue;
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr;
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segment{rows, 0, nullptr, task.k};
    GemmTile<T> tile{&segment,
                     1,
                     a.step,
                     b.step,
                     c,
                     0,
                     0,
                     p_.alpha,
                     task.first ? p_.beta : T(1),
                     nullptr,
                     nullptr,
                     Epilogue<T>().low,
                     Epilogue<T>().high};
    if (task.last) tile.low = e.low, tile.high = e.high;
    const T* bias = task.last ? e.bias : nullptr;
    for (ptrdiff_t j = task.j0; j < task.j1; j += nr) {
      segment.b = b.data + (j - task.jc) / nr * b.panel;
      tile.n = int(least(nr, task.j1 - j));
      if (bias && e.bias_axis == BiasAxis::column) tile.bias_n = bias + j;
      for (ptrdiff_t i = task.i0; i < task.i1; i += mr) {
        tile.m = int(least(mr, task.i1 - i));
        if (bias && e.bias_axis == BiasAxis::row) tile.bias_m = bias + i;
        for (int r = 0; r < tile.m; ++r) {
          rows[r] = a.data + (i + r) * a.row;
          c[r] = p_.c.data + (i + r) * p_.c.row + j;
        }
        kernel_.run(tile);
      }
    }
    if (!task.last || e.activation == nullptr) return;
    for (ptrdiff_t i = task.i0; i < task.i1; ++i) {
      T* row = p_.c.data + i * p_.c.row + task.j0;
      e.activation(row, row, task.j1 - task.j0, e.parameter);
    }
  }

  const GemmProblem<T>& p_;
  const GemmKernel& kernel_;
  Method method_;
  bool threaded_;
  ptrdiff_t a_row_ = 0;
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
    pack_panel(b.data + j * b.col, b.row, b.col, k, least(nr, n - j), nr, packed + part * panel);
  };
  if (k * n > 1 << 16) return parallel_for(ceil_div(n, nr), pack);
  for (ptrdiff_t part = 0; part < ceil_div(n, nr); ++part) pack(part);
}
template void pack_b<float>(const Matrix<const float>&, ptrdiff_t, ptrdiff_t, float*, ptrdiff_t);
template void pack_b<double>(const Matrix<const double>&, ptrdiff_t, ptrdiff_t, double*, ptrdiff_t);

}  // namespace striate
