// SPDX-License-Identifier: Apache-2.0
// Batch and group norm on a GPU, whose kernels see one thing (norm_cuda.h): images of [rows,
// channels], dense, with statistics by image and group of channels. Batch norm is one image of all
// rows and as many groups as channels.
#pragma once
#include "ops/norm/norm.h"

namespace striate {

struct NormOnDevice {
  Dtype dtype;
  ptrdiff_t images, rows, channels, groups;
  const void *x, *dy;
  Channels of_channels;  // mean and invstd [images, groups]
  double eps;
  void* var;        // [images, groups], or null
  Running running;  // of one image
  Statistics statistics;
  void *part_a, *part_b;  // working space: [images, norm_parts(rows), channels]
  void *slope, *shift;    // working space of `backward`: [images, groups]
  void *dweight, *dbias;  // [channels]
  void* y;                // y, or dx
};

// train: y, mean, invstd and what else is asked for; infer: y by the given mean and invstd.
enum class NormPass { train, infer, backward };

ptrdiff_t norm_parts(ptrdiff_t rows);
void check_norm_size(const char* op, const NormOnDevice& problem);  // throws for one too large
void norm_launch(const cuda::Stream& stream, NormPass pass, const NormOnDevice& problem);

}  // namespace striate
