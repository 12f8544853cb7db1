// SPDX-License-Identifier: Apache-2.0
// Drives Winograd convolution over blocks of tiles that stay in L2 through all three stages:
//
//   the filters, panel by panel of NR outputs     U [panel][xi][piece][C][NR]  once, all threads
//   for (block of tiles) x (group of panels)      one task, any thread
//     for each tile                               V [xi][tile][C]            L2
//     for each panel
//       for each xi, for MR tiles at a time       M [xi][tile][NR]           the register tile
//       for each tile                             y, bias and clamp
//
// or, where U is the larger part, over sections of tiles of which V stays in L3, so that U is read
// once a section:
//
//   for each section
//     for each tile                               V [xi][tile][C]            all threads
//     for each panel                              one task, any thread
//       its filters                               U [xi][C][NR]
//       for each block of tiles, M and y          as above
//
// No sum is cut between tasks, so results do not depend on threads.
#include "ops/conv2d/winograd.h"

#include <functional>

#include "core/blocks.h"
#include "core/caches.h"
#include "core/memory.h"
#include "core/threads.h"
#include "ops/gemm/pack.h"
#include "ops/gemm/tile.h"

namespace striate {
namespace {

constexpr int variant(WinogradStage stage, ptrdiff_t a, ptrdiff_t n) {
  return int((ptrdiff_t(stage) * 8 + a) * 8 + n);
}

const Table<Kernel> kernels{
#define ROW(name, T, isa, what, a, n) \
  STRIATE_KERNEL(conv2d, name, T, isa, variant(WinogradStage::what, a, n))
#include "ops/conv2d/winograd_kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kFewestTiles = 12, kMostTiles = 56;  // of a block
constexpr ptrdiff_t kPiecesBytes = 4 << 20;              // of V of a block of several pieces
constexpr ptrdiff_t kTilesATask = 8;                     // where V is shared

// What kernels have streamed is visible to other threads from here on.
void drain_streamed() {
#ifdef __SSE__
  __builtin_ia32_sfence();
#endif
}

// A problem: images of outputs, which may be every so many-th pixel of one, and of inputs.
template <class T>
struct Problem {
  ptrdiff_t n;
  Image<T> out;
  Image<const T> in;
  WinogradAxis down, across;
  ptrdiff_t depth, width, m;

  int pieces() const { return down.count * across.count; }
  ptrdiff_t a() const { return m + 2; }
  ptrdiff_t steps() const { return pieces() * depth; }  // of the sum for each xi
};

// U is [panel][xi][piece][depth][NR], a line from each xi to the next: 36 matrices of a power of
// two of bytes are written side by side, and would press into the same sets of L1.
template <class T>
ptrdiff_t filters_xi(const Problem<T>& g) {
  return packed_panel<T>(g.steps(), gemm_kernel(dtype_of<T>).nr);
}

// Writes the transformed filters of a panel.
template <class T>
using Transform = std::function<void(ptrdiff_t panel, T* u)>;

template <class T>
class Tiles {
 public:
  Tiles(const Problem<T>& g, const Transform<T>& transform, const Epilogue<T>& e)
      : g_(g),
        m_(g.m),
        a_(g.a()),
        xis_(a_ * a_),
        transform_(transform),
        e_(e),
        kernel_(gemm_kernel(dtype_of<T>)),
        tiles_(m_, g.n, g.down, g.across),
        panels_(ceil_div(g.width, kernel_.nr)),
        whole_in_(stage<WinogradInput<T>>(WinogradStage::input, a_)),
        whole_out_(stage<WinogradOutput<T>>(WinogradStage::output, m_)) {
    if (m_ == 4) {
      part_in_ = stage<WinogradInput<T>>(WinogradStage::input, 0);
      part_out_ = stage<WinogradOutput<T>>(WinogradStage::output, 0);
    }
    const ptrdiff_t tile_bytes = xis_ * g.steps() * ptrdiff_t(sizeof(T));
    fewest_ = ceil_div(kFewestTiles, kernel_.mr) * kernel_.mr;
    block_ = l2_bytes() / 2 / tile_bytes / fewest_ * fewest_;
    // Of several pieces V is in L3 anyway, and U is read once a block.
    const bool wide = g.pieces() > 1 && 2 * fewest_ * tile_bytes <= kPiecesBytes;
    block_ = std::clamp(block_, wide ? 2 * fewest_ : fewest_, kMostTiles);
    panel_size_ = xis_ * filters_xi(g);
    section_ = winograd_section(double(tiles_.count()), double(tile_bytes),
                                double(panels_ * panel_size_) * sizeof(T), double(g.width));
    v_far_ = section_ || block_ * tile_bytes > l2_bytes() / 4;
    u_far_ = section_ || panels_ * panel_size_ * ptrdiff_t(sizeof(T)) > l2_bytes() / 2;
    const ptrdiff_t stride = g.down.stride * g.across.stride;
    far_ = stride == 1 && winograd_far<T>(g.n, g.down.pixels, g.across.pixels, g.depth);
    past_ = winograd_far<T>(g.n, g.down.outputs, g.across.outputs, g.width) &&
            g.width % kLine == 0 && uintptr_t(g.out.data) % 64 == 0 && !e.activation;
  }

  void run() { section_ ? run_sections() : run_blocks(); }

 private:
  template <class Args>
  WinogradFn<Args>* stage(WinogradStage stage, ptrdiff_t n) const {
    return winograd_kernel(stage, a_, n, dtype_of<T>).template as<WinogradFn<Args>>();
  }

  void run_blocks() {
    Workspace<T> u(size_t(panels_ * panel_size_));
    parallel_for(panels_, [&](ptrdiff_t panel) { transform_(panel, &u[panel * panel_size_]); });
    ptrdiff_t block = std::min(block_, tiles_.count()), group = panels_;
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    auto tasks = [&] { return ceil_div(tiles_.count(), block) * ceil_div(panels_, group); };
    while (tasks() < wanted && block > fewest_) block = ceil_div(block, 2);
    while (tasks() < wanted && group > 1) group = ceil_div(group, 2);
    const ptrdiff_t across = ceil_div(panels_, group);
    parallel_for(ceil_div(tiles_.count(), block) * across, [&](ptrdiff_t part) {
      const ptrdiff_t tile = part / across * block, panel = part % across * group;
      const ptrdiff_t end = std::min(tile + block, tiles_.count());
      Workspace<T> v(size_t(xis_ * v_xi(end - tile))), m(size_t(xis_ * m_xi(end - tile)));
      take(tile, end - tile, tile, end, v.data());
      for (ptrdiff_t i = panel; i < std::min(panel + group, panels_); ++i)
        give(tile, end, v.data(), v_xi(end - tile), i, &u[i * panel_size_], m.data());
    });
  }

  void run_sections() {
    Workspace<T> v(size_t(xis_ * v_xi(std::min(section_, tiles_.count()))));
    for (ptrdiff_t first = 0; first < tiles_.count(); first += section_)
      run_section(first, std::min(section_, tiles_.count() - first), v.data());
  }

  void run_section(ptrdiff_t first, ptrdiff_t count, T* v) {
    parallel_for(ceil_div(count, kTilesATask), [&](ptrdiff_t part) {
      const ptrdiff_t tile = first + part * kTilesATask;
      take(first, count, tile, std::min(tile + kTilesATask, first + count), v);
    });
    // M of a block takes half of L2.
    const ptrdiff_t most = l2_bytes() / 2 / (xis_ * kernel_.nr * ptrdiff_t(sizeof(T)));
    const ptrdiff_t block = like_height(count, std::max(most, fewest_));
    const ptrdiff_t wanted = num_threads() > 1 ? 3 * num_threads() : 1;
    ptrdiff_t group = panels_;
    while (ceil_div(panels_, group) < wanted && group > 1) group = ceil_div(group, 2);
    parallel_for(ceil_div(panels_, group), [&](ptrdiff_t part) {
      Workspace<T> u{size_t(panel_size_)}, m(size_t(xis_ * m_xi(block)));
      for (ptrdiff_t i = part * group; i < std::min((part + 1) * group, panels_); ++i) {
        transform_(i, u.data());
        for (ptrdiff_t tile = 0; tile < count; tile += block)
          give(first + tile, first + std::min(tile + block, count), v + tile * v_row(), v_xi(count),
               i, u.data(), m.data());
      }
    });
  }

  // Lines between rows and between the matrices keep both out of the same sets of L1.
  static constexpr ptrdiff_t kLine = 64 / ptrdiff_t(sizeof(T));
  ptrdiff_t v_row() const { return g_.steps() + kLine; }
  ptrdiff_t v_xi(ptrdiff_t tiles) const { return tiles * v_row() + kLine; }
  ptrdiff_t m_xi(ptrdiff_t tiles) const { return tiles * kernel_.nr + kLine; }

  // V of tiles [begin, end) of a block of `count` from tile `first` on.
  void take(ptrdiff_t first, ptrdiff_t count, ptrdiff_t begin, ptrdiff_t end, T* v) const {
    for (ptrdiff_t tile = begin; tile < end; ++tile) {
      T* to = v + (tile - first) * v_row();
      const auto at = tiles_.place(tile);
      for (int i = 0; i < g_.down.count; ++i)
        for (int j = 0; j < g_.across.count; ++j, to += g_.depth) piece(at, i, j, to, v_xi(count));
    }
  }

  void piece(const WinogradTiles::Place& at, int i, int j, T* v, ptrdiff_t v_xi) const {
    const auto& part = tiles_.part(at.part);
    const WinogradSpan down(g_.down, g_.down.pieces[i], at.row, part.outputs_down);
    const WinogradSpan across(g_.across, g_.across.pieces[j], at.col, part.outputs_across);
    const bool whole = down.count == a_ && across.count == a_;
    (whole ? whole_in_ : part_in_)(winograd_input(g_.in, at.n, down, g_.down.stride, across,
                                                  g_.across.stride, g_.depth, v, v_xi, far_));
  }

  // y of a block of tiles, V being theirs, and the filters of a panel.
  void give(ptrdiff_t begin, ptrdiff_t end, const T* v, ptrdiff_t v_xi, ptrdiff_t panel, const T* u,
            T* m) const {
    const ptrdiff_t nr = kernel_.nr, j = panel * nr, channels = std::min(nr, g_.width - j);
    multiply(v, v_xi, begin, end, u, channels, m);
    for (ptrdiff_t tile = begin; tile < end; ++tile) {
      const auto at = tiles_.place(tile);
      const auto& part = tiles_.part(at.part);
      T* y = g_.out.data + at.n * g_.out.image + at.row * g_.out.row + at.col * g_.out.pixel + j;
      const ptrdiff_t rows = std::min(m_, g_.down.outputs - at.row);
      const ptrdiff_t cols = std::min(m_, g_.across.outputs - at.col);
      const ptrdiff_t down = part.outputs_down + g_.down.most_taps() - 1;
      const ptrdiff_t across = part.outputs_across + g_.across.most_taps() - 1;
      (down == a_ && across == a_ ? whole_out_ : part_out_)(
          {m + (tile - begin) * nr, m_xi(end - begin), rows, cols, channels,
           e_.bias ? e_.bias + j : nullptr, e_.low, e_.high, y, g_.out.row, g_.out.pixel, past_,
           part.outputs_down, part.outputs_across, down, across});
      if (e_.activation == nullptr) continue;
      for (ptrdiff_t r = 0; r < rows; ++r)
        for (ptrdiff_t s = 0; s < cols; ++s) {
          T* pixel = y + r * g_.out.row + s * g_.out.pixel;
          e_.activation(pixel, pixel, channels, e_.parameter);
        }
    }
    if (past_) drain_streamed();
  }

  // The pieces along an axis that have point i of a tile of so many outputs, a bit each.
  unsigned having(const WinogradAxis& axis, ptrdiff_t i, ptrdiff_t outputs) const {
    unsigned bits = 0;
    for (int p = 0; p < axis.count; ++p)
      if (winograd_has(i, outputs + axis.pieces[p].taps - 1, a_)) bits |= 1u << p;
    return bits;
  }

  // M[xi] = V[xi] U[xi] for one panel and tiles [begin, end). Neighbouring parts of them that have
  // the same pieces go together.
  void multiply(const T* v, ptrdiff_t v_xi, ptrdiff_t begin, ptrdiff_t end, const T* u,
                ptrdiff_t width, T* m) const {
    for (ptrdiff_t xi = 0; xi < xis_; ++xi) {
      Product product{v + xi * v_xi,
                      u + xi * filters_xi(g_),
                      m + xi * m_xi(end - begin),
                      int(width),
                      0,
                      0,
                      0,
                      0};
      for (int i = 0; i < WinogradTiles::kParts; ++i) {
        const auto& part = tiles_.part(i);
        const ptrdiff_t from = std::max(begin, part.begin), to = std::min(end, part.end);
        if (from >= to) continue;
        const unsigned down = having(g_.down, xi / a_, part.outputs_down);
        const unsigned across = having(g_.across, xi % a_, part.outputs_across);
        if (down != product.down || across != product.across || product.end != from - begin) {
          run(product);
          product.down = down, product.across = across, product.begin = from - begin;
        }
        product.end = to - begin;
      }
      run(product);
    }
  }

  struct Product {
    const T *v, *u;
    T* m;
    int width;
    ptrdiff_t begin, end;  // tiles
    unsigned down, across;
  };

  // Tiles in groups of like height; pieces that follow each other are one run of the sum.
  void run(const Product& p) const {
    if (p.begin >= p.end || !p.down || !p.across) return;
    const ptrdiff_t v_row = this->v_row(), nr = kernel_.nr;
    const T* rows[kMaxTileRows];
    T* c[kMaxTileRows];
    GemmSegment<T> segments[WinogradAxis::kMostPieces * WinogradAxis::kMostPieces];
    ptrdiff_t count = 0, last = -1;
    for (ptrdiff_t i = 0; i < g_.pieces(); ++i) {
      if (!(p.down >> (i / g_.across.count) & 1) || !(p.across >> (i % g_.across.count) & 1))
        continue;
      if (count > 0 && last == i - 1)
        segments[count - 1].k += g_.depth;
      else
        segments[count++] = {rows, i * g_.depth, p.u + i * g_.depth * nr, g_.depth};
      last = i;
    }
    const Epilogue<T> none;
    GemmTile<T> tile{segments, count, 1,       nr,      c,        0,        0,
                     T(1),     T(0),  nullptr, nullptr, none.low, none.high};
    tile.n = p.width;
    tile.ahead = u_far_ ? kAhead * nr : 0;
    const ptrdiff_t height = like_height(p.end - p.begin, kernel_.mr);
    for (ptrdiff_t first = p.begin; first < p.end; first += height) {
      tile.m = int(std::min(height, p.end - first));
      for (int r = 0; r < tile.m; ++r) {
        rows[r] = p.v + (first + r) * v_row;
        c[r] = p.m + (first + r) * nr;
      }
      tile.a_ahead = v_far_ ? height * v_row : 0;
      kernel_.run(tile);
    }
  }

  static constexpr ptrdiff_t kAhead = 32;  // steps that a U from L3 is asked for

  const Problem<T>& g_;
  const ptrdiff_t m_, a_, xis_;
  const Transform<T>& transform_;
  const Epilogue<T>& e_;
  const GemmKernel& kernel_;
  const WinogradTiles tiles_;
  const ptrdiff_t panels_;
  WinogradFn<WinogradInput<T>>* const whole_in_;
  WinogradFn<WinogradOutput<T>>* const whole_out_;
  WinogradFn<WinogradInput<T>>* part_in_ = nullptr;
  WinogradFn<WinogradOutput<T>>* part_out_ = nullptr;
  ptrdiff_t fewest_, block_, panel_size_, section_;
  bool v_far_, u_far_;  // whether V of a block, and U, crowd L2
  bool far_, past_;
};

// The filters from column j on, by their pieces: filter(j, space) tells where tap 0 is and how far
// the next ones down and across are.
template <class T, class Filter>
Transform<T> transform_of(const Problem<T>& g, size_t space, Filter filter) {
  auto find = [&](ptrdiff_t n) {
    return winograd_kernel(WinogradStage::filter, g.a(), n, dtype_of<T>)
        .template as<WinogradFn<WinogradFilter<T>>>();
  };
  auto *const whole = find(3), *const part = g.m == 4 ? find(0) : nullptr;
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  return [=](ptrdiff_t panel, T* u) {
    Workspace<T> packed(space);
    WinogradFilter<T> f = filter(panel * nr, packed.data());
    const WinogradFilter<T> one = f;
    f.rows = g.depth, f.n = std::min(nr, g.width - panel * nr);
    f.u = u, f.u_xi = filters_xi(g), f.u_row = nr;
    for (int i = 0; i < g.down.count; ++i)
      for (int j = 0; j < g.across.count; ++j, f.u += g.depth * nr) {
        const WinogradPiece &down = g.down.pieces[i], &across = g.across.pieces[j];
        f.w = one.w + down.first * one.w_down + across.first * one.w_across;
        f.w_down = down.step * one.w_down, f.w_across = across.step * one.w_across;
        f.down = down.taps, f.across = across.taps;
        (f.down == 3 && f.across == 3 ? whole : part)(f);
      }
  };
}

}  // namespace

const Kernel& winograd_kernel(WinogradStage stage, ptrdiff_t a, ptrdiff_t n, Dtype dtype) {
  return kernels.best(dtype, variant(stage, a, n));
}

template <class T>
void winograd_fwd(const ConvShape& s, ptrdiff_t m, const T* x, const T* w, const Epilogue<T>& e,
                  T* y) {
  const Problem<T> g{s.n,
                     image(y, s.p, s.q, s.k),
                     image(x, s.h, s.w, s.c),
                     winograd_down(s, ConvPass::fwd)[0],
                     winograd_across(s, ConvPass::fwd)[0],
                     s.c,
                     s.k,
                     m};
  const ptrdiff_t nr = gemm_kernel(dtype_of<T>).nr;
  // Filters side by side, C values under each tap.
  const ptrdiff_t row = s.r * s.s * s.c, step = s.c * nr;
  const size_t space = size_t(packed_panel<T>(row, nr));
  const Transform<T> transform = transform_of(g, space, [=](ptrdiff_t j, T* to) {
    pack_panels<T>({w + j * row, 1, row, 0}, row, std::min(nr, s.k - j), nr, to);
    return WinogradFilter<T>{to, s.s * step, step, nr, 0, 0, nullptr, 0, 0, 0, 0};
  });
  Tiles<T>(g, transform, e).run();
}

// dx is the correlation of dy with the filters turned by half a turn; at a stride, each of its
// residues with the taps that meet it.
template <class T>
void winograd_bwd_data(const ConvShape& s, ptrdiff_t m, const T* dy, const T* w,
                       const Epilogue<T>& e, T* dx) {
  const Image<T> all = image(dx, s.h, s.w, s.c);
  const auto down = winograd_down(s, ConvPass::bwd_data),
             across = winograd_across(s, ConvPass::bwd_data);
  for (size_t i = 0; i < down.size(); ++i)
    for (size_t j = 0; j < across.size(); ++j) {
      Image<T> out = all;
      out.data += ptrdiff_t(i) * all.row + ptrdiff_t(j) * all.pixel;
      out.row *= s.stride_h, out.pixel *= s.stride_w;
      const Problem<T> g{s.n, out, image(dy, s.p, s.q, s.k), down[i], across[j], s.k, s.c, m};
      const Transform<T> transform = transform_of(g, 0, [=](ptrdiff_t j, T*) {
        return WinogradFilter<T>{w + j, s.s * s.c, s.c, s.r * s.s * s.c, 0, 0, nullptr, 0, 0, 0, 0};
      });
      Tiles<T>(g, transform, e).run();
    }
}

#define INSTANCES(T)                                                                              \
  template void winograd_fwd(const ConvShape&, ptrdiff_t, const T*, const T*, const Epilogue<T>&, \
                             T*);                                                                 \
  template void winograd_bwd_data(const ConvShape&, ptrdiff_t, const T*, const T*,                \
                                  const Epilogue<T>&, T*);
INSTANCES(float)
INSTANCES(double)

}  // namespace striate
