// SPDX-License-Identifier: Apache-2.0
// What the launchers of recurrent layers, forward and backward, share.
#pragma once
#include <algorithm>
#include <climits>
#include <utility>
#include <vector>

#include "core/blocks.h"
#include "core/check.h"
#include "core/precision.h"
#include "cuda/driver/graph.h"
#include "cuda/driver/kernel.h"
#include "ops/elementwise/elementwise.h"
#include "ops/gemm/problem.h"
#include "ops/lstm/lstm.h"

namespace striate::recurrent {

using Layer = RnnLayer<float>;

// Hands out working space piece by piece, 256 bytes aligned; without memory it only counts.
class Space {
 public:
  explicit Space(float* memory) : memory_(memory) {}
  float* take(ptrdiff_t floats) {
    float* piece = memory_ ? memory_ + used_ : nullptr;
    used_ += ceil_div(floats, 64) * 64;
    return piece;
  }
  ptrdiff_t used() const { return used_; }

 private:
  float* memory_;
  ptrdiff_t used_ = 0;
};

// Room for products that are made in parts: sixteen of the largest result of a step or of a
// weight's gradient, but no more than 8 MiB, which is what parts take that fill a chip.
inline ptrdiff_t room_for_parts(const Layer& l, bool backward) {
  const ptrdiff_t of_step = l.batch * gate_count(l.cell) * l.hidden;
  const ptrdiff_t of_weight = gate_count(l.cell) * l.hidden * std::max(l.input, l.output);
  return std::min<ptrdiff_t>(16 * std::max(of_step, backward ? of_weight : 0), 1 << 21);
}

// Operations on matrices of a stream's device.
class Matrices {
 public:
  Matrices(const cuda::Stream& stream, float* room, ptrdiff_t floats)
      : stream_(stream), room_(room), floats_(floats) {}

  Operand of(Rows<const float> x, ptrdiff_t rows, ptrdiff_t columns) const {
    return {const_cast<float*>(x.data), Dtype::f32, 2, {rows, columns}, {x.row, 1}, stream_.device};
  }
  Operand turned(Rows<const float> x, ptrdiff_t rows, ptrdiff_t columns) const {
    const Operand m = of(x, rows, columns);
    return {m.data, m.dtype, 2, {columns, rows}, {1, x.row}, m.device};
  }
  // c = a b + beta c + bias
  void multiply(const Operand& a, const Operand& b, const Operand& c, float beta,
                const float* bias = nullptr) const {
    Epilogue<float> e;
    if (bias) e.bias = bias, e.bias_axis = BiasAxis::column;
    const ptrdiff_t m = c.shape[0], n = c.shape[1];
    const GemmSizes sizes{1, m, n, a.shape[1], 2, {m, n, 0}};
    const SumParts parts =
        gemm_launch_parts(stream_.device, sizes, floats_ * ptrdiff_t(sizeof(float)));
    gemm_launch(stream_, sizes, a, b, c, 1, beta, e, parts, room_);
  }
  void add(const Operand& a, const Operand& b, const Operand& c) const {
    binary_launch(stream_, Binary::add, a, b, c);
  }
  void copy(const Operand& from, const Operand& to) const {
    float zero = 0;
    add(from, Operand{&zero, Dtype::f32, 0, {}, {}}, to);
  }
  const cuda::Stream& stream() const { return stream_; }

 private:
  const cuda::Stream& stream_;
  float* room_;
  ptrdiff_t floats_;
};

// Rows of a step whose h' lie together.
struct Block {
  ptrdiff_t first, rows;
  Rows<const float> h;
};
inline std::vector<Block> blocks_of(const Layer& l, ptrdiff_t t) {
  const ptrdiff_t other = l.direction == Direction::forward ? t - 1 : t + 1, rows = l.rows_of(t);
  ptrdiff_t there = 0;
  if (other >= 0 && other < l.steps()) there = std::min(rows, l.rows_of(other));
  std::vector<Block> blocks;
  if (there > 0) {
    const Rows<float> h = l.y.from(l.offset[other], 0);
    blocks.push_back({0, there, {h.data, h.row}});
  }
  if (there < rows)
    blocks.push_back({there, rows - there, Rows<const float>{l.h0, l.output}.from(there, 0)});
  return blocks;
}

// The GRU keeps its last gate in two halves.
inline ptrdiff_t gates_columns(const Layer& l) {
  return (l.cell == Cell::gru ? 4 : gate_count(l.cell)) * l.hidden;
}
// Columns of gates that h' meets as x does: the GRU's last one is apart.
inline ptrdiff_t columns_with_x(const Layer& l) {
  return (l.cell == Cell::gru ? 2 : gate_count(l.cell)) * l.hidden;
}

inline void check_step(const Layer& l) {
  if (l.batch * l.hidden > INT_MAX)
    fail("rnn", "x", "fewer than 2^31 values of the state on a GPU",
         shape_text({l.batch, l.hidden}));
}

// All that the launches of a layer depend on, but for what is a pass's own.
template <class T>
cuda::GraphKey key_of(const RnnLayer<T>& l) {
  cuda::GraphKey key;
  key.add(dtype_of<T>, float32_precision(), l.cell, l.direction, l.input, l.hidden, l.output);
  key.add(l.w_ih, l.w_hh, l.b_ih, l.b_hh, l.w_hr, l.batch, l.x, l.h0, l.c0);
  key.add(l.y.data, l.y.row, l.kept.data, l.kept.row);
  for (const ptrdiff_t row : l.offset) key.add(row);
  return key;
}

// The launches of a sequence on a stream, as a graph where it is long enough to be worth one.
inline void launch_sequence(const cuda::Stream& stream, const char* name, ptrdiff_t steps,
                            cuda::GraphKey key, const cuda::Launches& launches) {
  constexpr ptrdiff_t kLeastSteps = 4;
  if (steps < kLeastSteps) return launches(stream);
  cuda::launch_again(stream, name, std::move(key), launches);
}

// A step's cells: block.rows by block.units of them.
void launch_cells(const cuda::Stream& stream, Cell cell, const CellForward<float>& block);
void launch_cells(const cuda::Stream& stream, Cell cell, const CellBackward<float>& block);

}  // namespace striate::recurrent
