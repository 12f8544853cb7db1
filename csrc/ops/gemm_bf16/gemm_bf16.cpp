// SPDX-License-Identifier: Apache-2.0
// Drives a register tile over a product of bfloat16, blocked as gemm/gemm.cpp is:
//
//   for jc in N by NC
//     for pc in K by KC                       A and B into words (pack.h), which the tile wants
//     anyway
//       for (ic in M by MC) x (jr in N by columns of a task)       one task, any thread
//
// Methods:
//   widen   words are float32, and float32's own tile multiplies: any instruction set. Packing
//           widens, so the product costs what float32's costs, and less where memory bounds it.
//   pairs   words are two neighbours in k, for vdpbf16ps: half of widen's time or double, as the
//           chip has it (isa.h's bf16_dot_pays()).
// With few rows a panel of B is packed by the task that multiplies it, and is read from its L2.
#include "ops/gemm_bf16/gemm_bf16.h"

#include "core/memory.h"
#include "core/threads.h"
#include "ops/cast/cast.h"
#include "ops/gemm/tile.h"
#include "ops/gemm_bf16/pack.h"
#include "ops/layout/layout.h"

namespace striate {

#define ROW(name, T, isa, mr, nr) STRIATE_WITH_##isa(void name(const GemmTile<float>&);)
#include "ops/gemm_bf16/kernels.inc"
#undef ROW

namespace {

// Kernels and methods in one table, so that a kernel's name chooses its method too.
struct Way : GemmKernel {
  Words words;
};
const Table<Way> ways{
#define ROW(name, T, isa, mr, nr)                                                    \
  STRIATE_WITH_##isa(Way{{{{"gemm_bf16", "kernel", #name, dtype_of<T>, Isa::isa, 0}, \
                           reinterpret_cast<void (*)()>(name)},                      \
                          mr,                                                        \
                          nr},                                                       \
                         Words::pairs}, )
#include "ops/gemm_bf16/kernels.inc"
#undef ROW
#define ROW(name, words) \
  Way{{{{"gemm_bf16", "method", #name, Dtype::bf16, Isa::scalar, 0}, nullptr}, 0, 0}, Words::words},
#include "ops/gemm_bf16/methods.inc"
#undef ROW
};

constexpr ptrdiff_t kBlockWords = 512;  // of K, at most; K is cut into blocks of like size
constexpr ptrdiff_t kBlockM = 84;
constexpr ptrdiff_t kBlockN = 3072;
constexpr ptrdiff_t kTaskColumns = 256;
constexpr double kSerialFlops = 4e6;  // below, waking a second core costs more than it brings

ptrdiff_t ceil_div(ptrdiff_t a, ptrdiff_t b) { return (a + b - 1) / b; }
ptrdiff_t least(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// Cycles a vector of C and element of k, in those of a float32 multiply-add.
double cost(Words words) { return words == Words::widen ? 1 : bf16_dot_pays() ? 0.5 : 2; }

const Way& choose() {
  const Way* chosen = nullptr;
  for (const Way* way : ways.runnable(Dtype::bf16, 0))
    if (!chosen || cost(way->words) < cost(chosen->words)) chosen = way;
  return *chosen;
}

struct Block {
  ptrdiff_t i0, i1, j0, j1;  // of C
  ptrdiff_t jc, words;       // B's panels begin at column jc
  bool first, last;          // of the K blocks
};

class Product {
 public:
  Product(const GemmBf16Problem& p, const Way& way)
      : p_(p),
        words_(way.words),
        kernel_(way.words == Words::widen ? gemm_kernel(Dtype::f32) : way) {
    threaded_ = 2.0 * double(p.m) * double(p.n) * double(p.k) > kSerialFlops;
  }

  void run() {
    const ptrdiff_t nr = kernel_.nr, an_element = words_ == Words::pairs ? 2 : 1;
    const ptrdiff_t words = words_of(words_, p_.k);
    const ptrdiff_t most = words ? ceil_div(words, ceil_div(words, kBlockWords)) : 0;
    const ptrdiff_t columns = least(ceil_div(p_.n, nr) * nr, kBlockN);
    const bool shared = p_.m > kBlockM;  // B's panels, by several tasks
    Workspace<float> b_space(shared ? size_t(most * columns) : 0);
    a_row_ = most + 16;  // rows a line apart, or they press into the same sets
    Workspace<float> a_space(size_t(p_.m) * size_t(a_row_));
    a_ = a_space.data();
    for (ptrdiff_t jc = 0; jc < p_.n; jc += kBlockN) {
      const ptrdiff_t j_end = least(jc + kBlockN, p_.n);
      ptrdiff_t pc = 0;
      do {  // once even if K is 0: C is still to be written
        const ptrdiff_t depth = least(most * an_element, p_.k - pc);
        pack_a(pc, depth);
        if (shared) pack_b(b_space.data(), pc, depth, jc, j_end);
        multiply(shared ? b_space.data() : nullptr, pc, depth,
                 {0, p_.m, jc, j_end, jc, words_of(words_, depth), pc == 0, pc + depth >= p_.k});
        pc += most * an_element;
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

  void pack_a(ptrdiff_t pc, ptrdiff_t depth) {
    const Matrix<const bfloat16>& a = p_.a;
    share(ceil_div(p_.m, kBlockM), [&](ptrdiff_t part) {
      const ptrdiff_t i = part * kBlockM;
      pack_rows(words_, a.data + i * a.row + pc * a.col, a.row, a.col, least(kBlockM, p_.m - i),
                depth, a_ + i * a_row_, a_row_);
    });
  }

  void pack_columns(ptrdiff_t pc, ptrdiff_t depth, ptrdiff_t j, ptrdiff_t j_end, float* panel) {
    const Matrix<const bfloat16>& b = p_.b;
    pack_panel(words_, b.data + pc * b.row + j * b.col, b.col, b.row, least(kernel_.nr, j_end - j),
               depth, panel, kernel_.nr);
  }

  void pack_b(float* space, ptrdiff_t pc, ptrdiff_t depth, ptrdiff_t jc, ptrdiff_t j_end) {
    const ptrdiff_t nr = kernel_.nr, panel = words_of(words_, depth) * nr;
    share(ceil_div(j_end - jc, nr), [&](ptrdiff_t part) {
      pack_columns(pc, depth, jc + part * nr, j_end, space + part * panel);
    });
  }

  // Cuts C's columns [block.j0, block.j1) and all its rows into tasks. `b` is null where tasks
  // pack.
  void multiply(const float* b, ptrdiff_t pc, ptrdiff_t depth, const Block& block) {
    const ptrdiff_t mr = kernel_.mr, nr = kernel_.nr, panel = block.words * nr;
    ptrdiff_t mc = kBlockM, nc = b ? ceil_div(kTaskColumns, nr) * nr : nr;
    if (threaded_ && b) {  // enough tasks to go round; their edges do not change a result
      const ptrdiff_t wanted = 4 * ptrdiff_t(num_threads());
      auto tasks = [&] { return ceil_div(block.i1, mc) * ceil_div(block.j1 - block.j0, nc); };
      while (tasks() < wanted && nc > nr) nc = ceil_div(nc / 2, nr) * nr;
      while (tasks() < wanted && mc > 2 * mr) mc = ceil_div(mc / 2, mr) * mr;
    }
    const ptrdiff_t across = ceil_div(block.j1 - block.j0, nc);
    share(ceil_div(block.i1, mc) * across, [&](ptrdiff_t part) {
      Block task = block;
      task.i0 = part / across * mc;
      task.i1 = least(task.i0 + mc, block.i1);
      task.j0 = block.j0 + part % across * nc;
      task.j1 = least(task.j0 + nc, block.j1);
      if (b) return multiply_task(b + (task.j0 - task.jc) / nr * panel, task);
      Workspace<float> own{size_t(panel)};
      pack_columns(pc, depth, task.j0, task.j1, own.data());
      multiply_task(own.data(), task);
    });
  }

  void multiply_task(const float* b, const Block& task) const {
    const Epilogue<float>& e = p_.epilogue;
    const ptrdiff_t height = task.i1 - task.i0, nr = kernel_.nr;
    // Tiles of like height: 16 rows are 8 and 8, not 14 and a slow 2.
    const ptrdiff_t mr = ceil_div(height, ceil_div(height, ptrdiff_t(kernel_.mr)));
    const float* rows[kMaxTileRows];
    float* c[kMaxTileRows];
    GemmSegment<float> segment{rows, 0, nullptr, task.words};
    const Epilogue<float> none;
    GemmTile<float> tile{&segment, 1, 1,       nr,      c,        0,        0,
                         p_.alpha, 0, nullptr, nullptr, none.low, none.high};
    tile.beta = task.first ? p_.beta : 1.0f;
    if (task.last) tile.low = e.low, tile.high = e.high;
    const float* bias = task.last ? e.bias : nullptr;
    for (ptrdiff_t j = task.j0; j < task.j1; j += nr, b += task.words * nr) {
      segment.b = b;
      tile.n = int(least(nr, task.j1 - j));
      if (bias && e.bias_axis == BiasAxis::column) tile.bias_n = bias + j;
      for (ptrdiff_t i = task.i0; i < task.i1; i += mr) {
        tile.m = int(least(mr, task.i1 - i));
        if (bias && e.bias_axis == BiasAxis::row) tile.bias_m = bias + i;
        for (int r = 0; r < tile.m; ++r) {
          rows[r] = a_ + (i + r) * a_row_;
          c[r] = p_.c.data + (i + r) * p_.c.row + j;
        }
        kernel_.run(tile);
      }
    }
    if (!task.last || e.activation == nullptr) return;
    for (ptrdiff_t i = task.i0; i < task.i1; ++i) {
      float* row = p_.c.data + i * p_.c.row + task.j0;
      e.activation(row, row, task.j1 - task.j0, e.parameter);
    }
  }

  const GemmBf16Problem& p_;
  Words words_;
  const GemmKernel& kernel_;
  bool threaded_;
  float* a_ = nullptr;
  ptrdiff_t a_row_ = 0;
};

GemmBf16Problem transposed(const GemmBf16Problem& p) {
  GemmBf16Problem t = p;
  t.m = p.n, t.n = p.m;
  t.a = {p.b.data, p.b.col, p.b.row, 0};
  t.b = {p.a.data, p.a.col, p.a.row, 0};
  t.c = {p.c.data, p.c.col, p.c.row, 0};
  if (p.epilogue.bias_axis == BiasAxis::row) t.epilogue.bias_axis = BiasAxis::column;
  if (p.epilogue.bias_axis == BiasAxis::column) t.epilogue.bias_axis = BiasAxis::row;
  return t;
}

Operand operand(float* data, ptrdiff_t m, ptrdiff_t n, ptrdiff_t row, ptrdiff_t col) {
  return {data, Dtype::f32, 2, {m, n}, {row, col}};
}

// One product whose C may lie anyhow: rows of float32 side by side, by transposing or by a copy.
void gemm_one(GemmBf16Problem p) {
  if (p.c.data) {
    if (p.n == 1) p.c.col = 1;
    if (p.c.col == 1) return Product(p, choose()).run();
    if (p.c.row == 1) return Product(transposed(p), choose()).run();
  }
  Workspace<float> space(size_t(p.m) * size_t(p.n));
  const Operand ours = operand(space.data(), p.m, p.n, p.n, 1);
  Operand theirs = operand(p.c.data, p.m, p.n, p.c.row, p.c.col);
  if (p.c.data == nullptr)
    theirs = {p.narrow_c.data, Dtype::bf16, 2, {p.m, p.n}, {p.narrow_c.row, p.narrow_c.col}};
  auto move = [](const Operand& from, const Operand& to) {
    from.dtype == to.dtype ? copy(from, to) : cast(from, to);
  };
  if (p.beta != 0) move(theirs, ours);
  p.c = {space.data(), p.n, 1, 0};
  Product(p, choose()).run();
  move(ours, theirs);
}

}  // namespace

void gemm_bf16(const GemmBf16Problem& problem) {
  if (problem.batch == 0 || problem.m == 0 || problem.n == 0) return;
  FlushDenormals flush;
  auto one = [&](ptrdiff_t i) {
    GemmBf16Problem p = problem;
    p.a.data += i * p.a.batch;
    p.b.data += i * p.b.batch;
    if (p.c.data) p.c.data += i * p.c.batch;
    if (p.narrow_c.data) p.narrow_c.data += i * p.narrow_c.batch;
    gemm_one(p);
  };
  const double flops = 2.0 * double(problem.m) * double(problem.n) * double(problem.k);
  const bool inside = flops > 5e7 && problem.batch < 4 * ptrdiff_t(num_threads());
  if (problem.batch > 1 && !inside && flops * double(problem.batch) > kSerialFlops)
    return parallel_for(problem.batch, one);
  for (ptrdiff_t i = 0; i < problem.batch; ++i) one(i);
}

}  // namespace striate
