// SPDX-License-Identifier: Apache-2.0
// Resampling of images along their axes: interpolation, and padding that repeats the image.
//
//   y[n, c, d, p, q] = sum over i, j, k of D[d, i] R[p, j] S[q, k] x[n, c, i, j, k]
//
// D, R and S are sparse: a row has one entry (nearest, padding), two (linear) or four (cubic). The
// gradient is the same sum with each of them transposed, so one kernel serves both directions.
// Memory is channels-last; images of fewer axes have D, or D and R, of a single 1.
#pragma once
#include <vector>

#include "core/operand.h"

namespace striate {

namespace cuda {
struct Stream;
}

template <class T>
struct ResampleTap {
  ptrdiff_t at;  // offset into x, in elements
  T weight;
};

// One row of outputs.
template <class T>
struct ResampleArgs {
  const T* x;
  const ResampleTap<T>* rows;  // the input rows that are mixed
  ptrdiff_t row_count;
  const ResampleTap<T>* cols;  // the columns of output q: cols[col_begin[q] … col_begin[q + 1])
  const ptrdiff_t* col_begin;
  ptrdiff_t q, channels;
  T* y;  // [Q, channels], pixels y_col apart
  ptrdiff_t y_col;
};
template <class T>
using ResampleFn = void(const ResampleArgs<T>&);

#define ROW(name, T, isa) STRIATE_WITH_##isa(ResampleFn<T> name;)
#include "ops/interpolate/kernels.inc"
#undef ROW

// The matrix of one axis, row by row: entries begin[o] … begin[o + 1] of output o.
struct ResampleAxis {
  ptrdiff_t in = 1, out = 1;
  std::vector<ptrdiff_t> begin, at;
  std::vector<double> weight;

  void add(ptrdiff_t from, double factor) { at.push_back(from), weight.push_back(factor); }
  void end_row() { begin.push_back(ptrdiff_t(at.size())); }
};

enum class Interpolation { nearest, nearest_exact, linear, cubic };
Interpolation interpolation_by_name(const char* op, const char* name);  // throws
// `scale` is input pixels an output pixel, or 0 to have it from the sizes; `align_corners` puts the
// centres of the outermost pixels on each other instead of their edges.
ResampleAxis interpolation_axis(Interpolation mode, ptrdiff_t in, ptrdiff_t out, double scale,
                                bool align_corners);

enum class Padding { reflect, replicate, circular };
// `before` and `after` outputs more than inputs, fewer where negative. Checked by the caller:
// reflect needs them below `in`, circular at most what the other one leaves of `in`.
ResampleAxis padding_axis(Padding mode, ptrdiff_t in, ptrdiff_t before, ptrdiff_t after);

ResampleAxis identity_axis(ptrdiff_t in);  // of an axis that stays as it is
ResampleAxis transposed(const ResampleAxis& axis);

// x, y (N, C, …) of rank 3 to 5; axes[0 … 2] are those of depth, height and width.
void resample(const Operand& x, const ResampleAxis* axes, const Operand& y);
// The same on a GPU, where both are dense and channels last, and not empty. `space` is on the
// device, [resample_space(axes)], for the axes' matrices.
ptrdiff_t resample_space(const ResampleAxis* axes);
void resample_launch(const cuda::Stream& stream, const Operand& x, const ResampleAxis* axes,
                     int64_t* space, const Operand& y);

}  // namespace striate
