// SPDX-License-Identifier: Apache-2.0
// Which method computes a pass. Of those that accept a problem:
//
//   gemm           1x1 filters at stride 1 without padding: pixels are the rows of a plain product
//   sampled        weight gradient of 1x1 filters at a stride: the pixels they meet are copied side
//                  by side, then the same
//   patches        few pixels under many filters: what lies under them is copied, then the same
//                  (patches.h)
//   depthwise      one filter a channel
//   winograd_f4x4  filters of up to 12 taps at strides up to 4, in pieces of 3x3: a quarter of the
//                  multiplications of a 3x3 filter (winograd.h)
//   winograd_f2x2  3x3 filters at stride 1 with 4/9 of them, as exact as direct sums
//   scatter        data gradient of few channels: all that a pixel of dy gives is multiplied at
//                  once and added where it belongs (scatter.h)
//   rows           few channels: the image is copied once into a padded one, where the S * C values
//                  under a filter row are neighbours, so that a tap is a whole row
//   implicit       everything: row pointers, zero rows for padding (implicit.h, weight.h)
//
// the one that the model in choice.cpp gives the least cost, or, with autotuning, the one that
// measured fastest on this machine when the problem was first met. Neither looks at the number of
// threads, so results do not depend on it.
#pragma once
#include <algorithm>
#include <string>
#include <vector>

#include "ops/conv2d/conv2d.h"

namespace striate {

enum class ConvMethod {
  gemm,
  sampled,
  patches,
  depthwise,
  winograd_f4x4,
  winograd_f2x2,
  scatter,
  rows,
  implicit
};
struct ConvMethodRow : Row {
  ConvMethod method;
};

// The methods that accept a problem, in table order; those that are pinned alone, if any is.
struct ConvCandidate {
  const ConvMethodRow* row;
  double cost;       // in multiply-adds of whole vectors, as many as would take its time
  double workspace;  // bytes beside the operands that its threads share
};
std::vector<ConvCandidate> conv_candidates(const ConvShape& s, ConvPass pass, Dtype dtype);

// The candidate of least cost, or the measured one where there is a record of it.
const ConvMethodRow& conv_choice(const ConvShape& s, ConvPass pass, Dtype dtype);

// What a convolution's threads may share beside its operands, 64 MiB unless set: methods that want
// more are no candidates, and `implicit` packs as many filters at a time as fit, a panel at least.
// Each thread has blocks of once or twice its L2 besides, or of a dozen of Winograd's tiles where
// they are more; of Winograd's sections, all threads but one a panel of filters too. Filters of
// bfloat16 may become float32 besides.
constexpr size_t kConvWorkspace = size_t(64) << 20;
size_t conv_workspace();
void set_conv_workspace(size_t bytes);

constexpr ptrdiff_t kConvCopyBytes = 8 << 20;  // of images that are copied at a time, or one image

// Calls part(shape, n) for runs of images from the n-th on, whose copies take so many bytes each;
// once even with none.
template <class F>
void each_part(const ConvShape& s, double bytes, F&& part, double most_bytes = kConvCopyBytes) {
  const ptrdiff_t most = std::max<ptrdiff_t>(ptrdiff_t(most_bytes / std::max(bytes, 1.0)), 1);
  ptrdiff_t n = 0;
  do {
    ConvShape run = s;
    run.n = std::min(most, s.n - n);
    part(run, n);
    n += most;
  } while (n < s.n);
}

// Into how many parts a weight gradient of so many elements cuts its sum over pixels: the same for
// any number of threads.
ptrdiff_t conv_pixel_parts(ptrdiff_t pixels, double elements);

// Autotuning. Records live in this process and, if `file` is not empty, in a text file, to which
// each is added when it is made; those of other processors and instruction sets in it are ignored.
// Throws std::runtime_error where the file can be neither read nor made.
void set_conv_autotune(bool on, const std::string& file);
bool conv_autotune();

// What there is a record of: the row's name, or "" .
std::string conv_record(const ConvShape& s, ConvPass pass, Dtype dtype);

// Calls run(context, method) once, or, where autotuning has no record of the problem, once and more
// for each candidate, last for the quickest.
void conv_run(const ConvShape& s, ConvPass pass, Dtype dtype,
              void (*run)(const void* context, ConvMethod method), const void* context);

}  // namespace striate
