// SPDX-License-Identifier: Apache-2.0
// Rows of a table (V, D) by their numbers: taken one by one, or summed in groups.
//
//   embedding            out[i] = table[index[i]]
//   embedding_sum        out[g] = scale[g] sum of share[k] rows[position[k]] over group g's k
//   embedding_max        out[g] = the largest rows[position[k]] over group g's k, column by column
//
// The gradient of the first is the second over the gradient's rows, grouped by the table row that
// each was taken from. Groups keep the order of positions, and long ones are cut into runs of a
// fixed length, so a sum does not depend on the number of threads.
#pragma once
#include "core/indices.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Embedding { embedding_rows, embedding_sum, embedding_max };

// out[i * out_row + j] = table[index[i] * row + j]      i < count, j < n
template <class T>
struct EmbeddingRowsArgs {
  const T* table;
  ptrdiff_t row;
  const int64_t* index;
  ptrdiff_t count, n;
  T* out;
  ptrdiff_t out_row;
};

// out[j] = scale * sum of shares[k] * rows[positions[k] * row + j], k < count, j < n
// positions null: k itself; shares null: 1.
template <class T>
struct EmbeddingSumArgs {
  const T* rows;
  ptrdiff_t row;
  const int64_t* positions;
  const T* shares;
  ptrdiff_t count, n;
  T scale;
  T* out;
};

// out[j] = max of rows[positions[k] * row + j], k < count; which[j] = the positions[k] it is from.
// The first of equal ones; NaN only where the first is. count is from 1 to what T counts without
// gaps.
template <class T>
struct EmbeddingMaxArgs {
  const T* rows;
  ptrdiff_t row;
  const int64_t* positions;
  ptrdiff_t count, n;
  T* out;
  int64_t* which;
};

template <class T>
using EmbeddingRowsFn = void(const EmbeddingRowsArgs<T>&);
template <class T>
using EmbeddingSumFn = void(const EmbeddingSumArgs<T>&);
template <class T>
using EmbeddingMaxFn = void(const EmbeddingMaxArgs<T>&);

#define TAKE(name, T, isa, what) STRIATE_WITH_##isa(EmbeddingRowsFn<T> name;)
#define SUM(name, T, isa, what) STRIATE_WITH_##isa(EmbeddingSumFn<T> name;)
#define MAX(name, T, isa, what) STRIATE_WITH_##isa(EmbeddingMaxFn<T> name;)
#include "ops/embedding/kernels.inc"
#undef TAKE
#undef SUM
#undef MAX

// --- drivers -------------------------------------------------------------------------------------

// All numbers are checked by the drivers, on copies, since another thread may write to the
// caller's; they throw std::out_of_range that names value and place.

// table (V, D) with unit-stride rows; out (count, D) likewise.
void embedding(const Operand& table, const Indices& index, const Operand& out);

// rows (R, D) with unit-stride rows; position (n,), each below R; share [n] dense or null; begin
// (groups + 1,) ascends from 0 to n, and group g has the k in [begin[g], begin[g + 1]); out
// (groups, D) dense.
void embedding_sum(const Operand& rows, const Indices& position, const void* share,
                   const Indices& begin, const Operand& out);

// Throws unless they ascend from 0 to `count`.
void check_bags(const Indices& begin, ptrdiff_t count);

// to[k] = the group of each k below `count`, from their beginnings; checked.
void groups_of(const Indices& begin, ptrdiff_t count, int64_t* to);

// Likewise the largest; 0 and -1 for a group without k. which (groups, D) dense.
void embedding_max(const Operand& rows, const Indices& position, const Indices& begin,
                   const Operand& out, int64_t* which);
// out[which[g, j], j] += dy[g, j] over g, from 0; a `which` that is no row of out (-1) is left out.
// All dense; out (V, D).
void embedding_max_backward(const Operand& dy, const int64_t* which, const Operand& out);

// out[v] = sum of share[k] rows[position[k]] over the k with index[k] == v; their mean with
// by_frequency. 0 for v == padding. position null: k itself. out (V, D) dense.
// (check_backward() throws where there are not as many positions, or rows, as indices.)
void check_backward(const Operand& rows, const Indices& index, const Indices* position);
enum class RowScale { none, by_frequency };
void embedding_backward(const Operand& rows, const Indices& index, const Indices* position,
                        const void* share, ptrdiff_t padding, RowScale scale, const Operand& out);

// --- on a GPU ------------------------------------------------------------------------------------

// Indices have been checked. Matrices have unit-stride rows.
void embedding_launch(const cuda::Stream& stream, const Operand& table, const Indices& index,
                      const Operand& out);

// out[to[g]] = scale[g] sum of share[k] rows[position[k]] over the k from begin[g] to
// begin[g + 1] - 1. position, share, to and scale may be null: k, 1, g and 1.
struct EmbeddingGroups {
  const int64_t *position, *begin, *to;
  const void *share, *scale;
  ptrdiff_t count;    // of groups
  ptrdiff_t indices;  // of all groups
};
void embedding_sum_launch(const cuda::Stream& stream, const Operand& rows,
                          const EmbeddingGroups& groups, const Operand& out);

// As embedding_max; `which` is on the device.
void embedding_max_launch(const cuda::Stream& stream, const Operand& rows,
                          const EmbeddingGroups& groups, const Operand& out, int64_t* which);
void embedding_max_backward_launch(const cuda::Stream& stream, const Operand& dy,
                                   const int64_t* which, const Operand& out);

}  // namespace striate
