// SPDX-License-Identifier: Apache-2.0
// Sums of products that a GPU makes in parts (split-K), where tiles are too few to fill it.
//
// The parts' sums go to working space, and gemm_parts_cuda.cu adds them up in their order, with the
// epilogue of the whole. That is a second launch and a second pass over the result, so a product is
// cut only where it then has twice the blocks or more, and parts are of a length that is worth it.
// Long sums are cut in any case: a chain of kLongest additions loses no more than the CPU's.
#pragma once
#include "core/operand.h"
#include "ops/gemm/gemm_cuda.h"

namespace striate {

namespace cuda {
struct Stream;
}

struct SumParts {
  ptrdiff_t parts, each;  // 1 part: the sum is whole, and needs no space
  ptrdiff_t floats;       // of all parts' results, or doubles
};
constexpr SumParts kWholeSum{1, 0, 0};

// Of a product with a sum over k and a result of `result` sums of `item` bytes, made by `blocks`
// blocks; parts of `least` at least and, if their results take more than `most` bytes, fewer.
SumParts cut_sum(int device, ptrdiff_t blocks, ptrdiff_t k, ptrdiff_t result, ptrdiff_t least,
                 ptrdiff_t most, size_t item = sizeof(float));

// The product `whole`, of which a part's launch makes the parts: its results go to `space`, of
// which a batch has c_batch each.
template <class R>
GemmOf<R> part_of(const GemmOf<R>& whole, const SumParts& parts, R* space);
// whole.c from the parts' results, dense matrices [m, n], `batch` of them a part.
template <class R>
void add_parts_launch(const cuda::Stream& stream, const GemmOf<R>& whole, ptrdiff_t batch,
                      const SumParts& parts, const R* space);

}  // namespace striate
