// SPDX-License-Identifier: Apache-2.0
// Moving data between memory orders: the 2-D transpose that NCHW <-> NHWC and packing are made of,
// and the copy between any two strided arrays that is built on it.
#pragma once
#include <cstddef>

#include "core/memory.h"
#include "core/operand.h"
#include "core/registry.h"

namespace striate {

namespace cuda {
struct Stream;
}

// dst[j * dst_row + i] = src[i * src_row + j]      i < rows, j < cols. Any alignment; no overlap.
template <class T>
using TransposeFn = void(const T* src, ptrdiff_t src_row, ptrdiff_t rows, ptrdiff_t cols, T* dst,
                         ptrdiff_t dst_row);

// The preferred transpose on this machine, through the caches; copy() has large ones written past.
template <class T>
TransposeFn<T>* transpose_kernel();

// dst[i] = src[i]      i < n. Any alignment; no overlap.
template <class T>
using CopyFn = void(const T* src, T* dst, ptrdiff_t n);

#define ROW(name, T, isa, variant) STRIATE_WITH_##isa(TransposeFn<T> name;)
#include "ops/layout/kernels.inc"
#undef ROW
#define ROW(name, T, isa) STRIATE_WITH_##isa(CopyFn<T> name;)
#include "ops/layout/copies.inc"
#undef ROW

// to[i] = from[i] for every index; equal shapes and dtypes, any strides (0 repeats in `from`), no
// overlap.
void copy(const Operand& from, const Operand& to);

// out[i] = value for every index.
void fill(const Operand& out, double value);

// out = x with `before[i]` elements of `value` put in front along axis i and `after[i]` behind it;
// negative ones crop. out has the shape that follows.
void padded_shape(const Operand& x, const ptrdiff_t* before, const ptrdiff_t* after,
                  ptrdiff_t* shape);  // that shape; throws std::invalid_argument
void pad(const Operand& x, const ptrdiff_t* before, const ptrdiff_t* after, double value,
         const Operand& out);
// The same on a GPU; what is behind follows from the shapes.
void pad_launch(const cuda::Stream& stream, const Operand& x, const ptrdiff_t* before, double value,
                const Operand& out);

// x, rank 3 to 5, in dense channels-last memory: where it lies, or a copy. For image kernels, which
// read nothing else.
class ImageInput {
 public:
  explicit ImageInput(const Operand& x);
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data_);
  }

 private:
  Workspace<char> space_;
  const void* data_;
};

// Dense channels-last memory for such a result: out's own, or scratch that finish() copies to it.
class ImageOutput {
 public:
  explicit ImageOutput(const Operand& out);
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  void finish();

 private:
  Operand out_;
  Workspace<char> space_;
  void* data_;
};

}  // namespace striate
