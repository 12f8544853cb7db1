// SPDX-License-Identifier: Apache-2.0
// A copy is brought to one of three inner loops, after axes of size 1 are dropped and neighbours
// that both sides run through are merged:
//   rows        both sides have unit stride on the same axis: memcpy
//   transpose   unit stride on different axes: the transpose kernel on these two axes
//   elements    one side has no unit stride: a loop
#include "ops/layout/layout.h"

#include <algorithm>
#include <cstring>

#include "core/threads.h"

namespace striate {
namespace {

enum { kTranspose, kTransposePast, kCopy };

const Table<Kernel> kernels{
#define ROW(name, T, isa, variant) STRIATE_KERNEL(layout, name, T, isa, variant)
#include "ops/layout/kernels.inc"
#undef ROW
#define ROW(name, T, isa) STRIATE_KERNEL(layout, name, T, isa, kCopy)
#include "ops/layout/copies.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least
constexpr ptrdiff_t kStrip = 1 << 10;  // columns of a transpose in one part

struct Axis {
  ptrdiff_t n, from, to;  // size, strides
};

// Axes by descending stride of `to`, then of `from`.
struct Axes {
  int count = 0;
  Axis axis[kMaxRank];

  void push(Axis a) {
    auto before = [](const Axis& x, const Axis& y) {
      return x.to > y.to || (x.to == y.to && x.from > y.from);
    };
    int at = count++;
    for (; at > 0 && before(a, axis[at - 1]); --at) axis[at] = axis[at - 1];
    axis[at] = a;
  }
  void merge() {
    int kept = 0;
    for (int i = 1; i < count; ++i) {
      Axis& a = axis[kept];
      const Axis& b = axis[i];
      if (a.from == b.from * b.n && a.to == b.to * b.n)
        a = {a.n * b.n, b.from, b.to};
      else
        axis[++kept] = b;
    }
    count = count == 0 ? 0 : kept + 1;
  }
  Axis take(int i) {
    Axis a = axis[i];
    for (; i + 1 < count; ++i) axis[i] = axis[i + 1];
    --count;
    return a;
  }
  ptrdiff_t product() const {
    ptrdiff_t n = 1;
    for (int i = 0; i < count; ++i) n *= axis[i].n;
    return n;
  }
  void offsets(ptrdiff_t index, ptrdiff_t* from, ptrdiff_t* to) const {
    for (int i = count - 1; i >= 0; --i) {
      ptrdiff_t along = index % axis[i].n;
      index /= axis[i].n;
      *from += along * axis[i].from;
      *to += along * axis[i].to;
    }
  }
};

// body(part) for every part, on threads if there is enough to do.
template <class F>
void for_parts(ptrdiff_t parts, ptrdiff_t elements, F&& body) {
  if (elements > 2 * kGrain)
    return parallel_ranges(parts, kGrain / (elements / parts + 1) + 1, 1,
                           [&](ptrdiff_t begin, ptrdiff_t end) {
                             for (ptrdiff_t i = begin; i < end; ++i) body(i);
                           });
  for (ptrdiff_t i = 0; i < parts; ++i) body(i);
}

template <class T>
void copy_transposed(const T* from, T* to, const Axes& outer, Axis rows, Axis cols) {
  ptrdiff_t strips = (cols.n + kStrip - 1) / kStrip, parts = outer.product() * strips;
  const bool past = outer.product() * rows.n * cols.n * ptrdiff_t(sizeof(T)) >= kPastCachesBytes;
  auto* kernel =
      kernels.best(dtype_of<T>, past ? kTransposePast : kTranspose).template as<TransposeFn<T>>();
  for_parts(parts, parts / strips * rows.n * cols.n, [&](ptrdiff_t part) {
    ptrdiff_t a = 0, b = 0, j = part % strips * kStrip, left = cols.n - j;
    outer.offsets(part / strips, &a, &b);
    kernel(from + a + j, rows.from, rows.n, left < kStrip ? left : kStrip, to + b + j * cols.to,
           cols.to);
  });
}

template <class T>
void copy_rows(const T* from, T* to, const Axes& outer, Axis inner) {
  ptrdiff_t rows = outer.product();
  if (rows == 1 && inner.from == 1 && inner.to == 1) {
    auto* kernel = kernels.best(dtype_of<T>, kCopy).template as<CopyFn<T>>();
    if (inner.n <= 2 * kGrain) return kernel(from, to, inner.n);
    return parallel_ranges(inner.n, kGrain, 64, [&](ptrdiff_t begin, ptrdiff_t end) {
      kernel(from + begin, to + begin, end - begin);
    });
  }
  for_parts(rows, rows * inner.n, [&](ptrdiff_t row) {
    ptrdiff_t a = 0, b = 0;
    outer.offsets(row, &a, &b);
    const T* src = from + a;
    T* dst = to + b;
    if (inner.from == 1 && inner.to == 1)
      std::memcpy(dst, src, size_t(inner.n) * sizeof(T));
    else if (inner.from == 0 && inner.to == 1)
      std::fill_n(dst, inner.n, *src);
    else
      for (ptrdiff_t i = 0; i < inner.n; ++i) dst[i * inner.to] = src[i * inner.from];
  });
}

template <class T>
void copy_typed(const Operand& from, const Operand& to) {
  Axes axes;
  for (int i = 0; i < to.rank; ++i)
    if (to.shape[i] > 1) axes.push({to.shape[i], from.stride[i], to.stride[i]});
  axes.merge();
  const T* src = from.as<const T>();
  T* dst = to.as<T>();
  if (axes.count == 0) {
    *dst = *src;
    return;
  }
  int unit_from = -1;
  for (int i = 0; i < axes.count; ++i)
    if (axes.axis[i].from == 1) unit_from = i;
  const int last = axes.count - 1;
  if (axes.axis[last].to == 1 && unit_from >= 0 && unit_from != last) {
    Axis rows = axes.take(last), cols = axes.take(unit_from);
    copy_transposed(src, dst, axes, rows, cols);
  } else {
    Axis inner = axes.take(last);
    copy_rows(src, dst, axes, inner);
  }
}

Operand like(const Operand& x, void* data) {
  Operand dense = x;
  dense.data = data;
  channels_last(x.shape, dense.stride, x.rank);
  return dense;
}

size_t bytes_unless(bool unneeded, const Operand& x) {
  return unneeded ? 0 : size_t(x.size()) * item_size(x.dtype);
}

// The part of x that begins at `begin` on `axis` and has `n` elements along it.
Operand part(const Operand& x, int axis, ptrdiff_t begin, ptrdiff_t n) {
  Operand p = x;
  p.data = x.as<char>() + begin * x.stride[axis] * ptrdiff_t(item_size(x.dtype));
  p.shape[axis] = n;
  return p;
}

}  // namespace

template <class T>
TransposeFn<T>* transpose_kernel() {
  return kernels.best(dtype_of<T>, kTranspose).template as<TransposeFn<T>>();
}
template TransposeFn<float>* transpose_kernel<float>();
template TransposeFn<double>* transpose_kernel<double>();

void copy(const Operand& from, const Operand& to) {
  if (to.size() == 0) return;
  dispatch(to.dtype, [&](auto* t) { copy_typed<pointee<decltype(t)>>(from, to); });
}

void fill(const Operand& out, double value) {
  Operand one = out;
  float narrow = float(value);
  one.data = out.dtype == Dtype::f32 ? static_cast<void*>(&narrow) : &value;
  for (int i = 0; i < out.rank; ++i) one.stride[i] = 0;
  copy(one, out);
}

void padded_shape(const Operand& x, const ptrdiff_t* before, const ptrdiff_t* after,
                  ptrdiff_t* shape) {
  for (int i = 0; i < x.rank; ++i) {
    constexpr ptrdiff_t kMost = PTRDIFF_MAX / 2;  // so that the sum of two does not overflow
    const ptrdiff_t most = x.shape[i];
    auto crop = [](ptrdiff_t width) { return -std::clamp<ptrdiff_t>(width, -kMost, 0); };
    const ptrdiff_t cropped = crop(before[i]) + crop(after[i]);
    if (cropped > most)
      fail("pad", "pad",
           "at most " + std::to_string(most) + " elements cropped from axis " + std::to_string(i) +
               " of shape " + x.text(),
           std::to_string(cropped));
    if (__builtin_add_overflow(x.shape[i], before[i], &shape[i]) ||
        __builtin_add_overflow(shape[i], after[i], &shape[i]))
      fail("pad", "pad", "sizes within the address space", "larger ones");
  }
}

void pad(const Operand& x, const ptrdiff_t* before, const ptrdiff_t* after, double value,
         const Operand& out) {
  Operand from = x, to = out;
  for (int i = 0; i < x.rank; ++i) {
    auto positive = [](ptrdiff_t n) { return n > 0 ? n : 0; };
    ptrdiff_t low = positive(before[i]), high = positive(after[i]);
    ptrdiff_t kept = out.shape[i] - low - high;
    if (kept <= 0) return fill(to, value);  // nothing of x is left
    fill(part(to, i, 0, low), value);
    fill(part(to, i, low + kept, high), value);
    from = part(from, i, positive(-before[i]), kept);
    to = part(to, i, low, kept);
  }
  copy(from, to);
}

ImageInput::ImageInput(const Operand& x)
    : space_(bytes_unless(is_channels_last(x), x)), data_(x.data) {
  if (is_channels_last(x)) return;
  copy(x, like(x, space_.data()));
  data_ = space_.data();
}

ImageOutput::ImageOutput(const Operand& out)
    : out_(out), space_(bytes_unless(is_channels_last(out), out)), data_(out.data) {
  if (!is_channels_last(out)) data_ = space_.data();
}

void ImageOutput::finish() {
  if (data_ != out_.data) copy(like(out_, data_), out_);
}

}  // namespace striate
