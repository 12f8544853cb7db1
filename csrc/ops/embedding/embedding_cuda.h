// SPDX-License-Identifier: Apache-2.0
// What launches of the embedding's kernels pass; host and device read this file. The equations are
// in embedding.h.
#pragma once

namespace striate {

// out[i] = table[index[i]]
template <class T>
struct EmbeddingRowsCuda {
  const T* table;  // [table_rows, n], rows `row` apart
  long long row, table_rows;
  const long long* index;  // [count]
  long long count, n;
  T* out;  // [count, n], rows out_row apart
  long long out_row;
};

// out[to[g]] = scale[g] sum of share[k] rows[position[k]] over the k in [begin[g], begin[g + 1])
//
// The gradient of a table: k by k the places of equal indices, from a stable sort, `begin` where
// the next index begins, `to` the indices; rows of the table that no index names are not written.
// Groups of many k are cut into runs of a fixed length; another launch, with position and share
// null, adds up the runs.
template <class T>
struct EmbeddingSumCuda {
  const T* rows;  // [any, n], rows `row` apart
  long long row;
  const long long* position;  // null: k itself
  const T* share;             // null: 1
  const long long* begin;     // [groups + 1]
  const long long* to;        // [groups], each met once; null: g itself
  const T* scale;             // [groups], or null for 1
  long long groups, n;
  T* out;  // rows out_row apart
  long long out_row;
};

// out[g] = the largest rows[position[k]] over the k in [begin[g], begin[g + 1]), column by column;
// 0 of none
template <class T>
struct EmbeddingMaxCuda {
  const T* rows;  // [any, n], rows `row` apart
  long long row;
  const long long *position, *begin;
  long long groups, n;
  T* out;            // [groups, n]
  long long* which;  // [groups, n]: the position that it is from, -1 for none
};

// out[which[g, j], j] += dy[g, j] over g, from 0; a `which` of -1 is left out
template <class T>
struct EmbeddingMaxBackwardCuda {
  const T* dy;             // [groups, n]
  const long long* which;  // [groups, n]
  long long groups, n, table_rows;
  T* out;  // [table_rows, n]
};

}  // namespace striate
