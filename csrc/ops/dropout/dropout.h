// SPDX-License-Identifier: Apache-2.0
// Dropout (Srivastava et al. 2014): which elements stay is decided by Philox4x32-10.
//
//   word[i] = word i % 4 of Philox(key, counter i / 4), i the element's index in logical C order
//   y[i]    = x[i] * scale + kept    where word[i] >= threshold
//             x[i] * 0 + dropped     elsewhere
//
// A word belongs to an element's index, not to its place in memory nor to when it is met, so a mask
// is the same for any number of threads, any memory order, any instruction set and both dtypes. The
// gradient makes it again from the key: nothing is kept.
#pragma once
#include "core/operand.h"
#include "ops/dropout/rule.h"

namespace striate {

namespace cuda {
struct Stream;
}

enum class Dropout { dropout, dropout_by_words, philox };

//   dropout            words made on the way, of elements index, index + 1, …
//   dropout_by_words   words given
// over n neighbours. y may be x.
template <class T>
struct DropoutArgs {
  const T* x;
  T* y;
  ptrdiff_t n;
  DropoutRule<T> rule;
  uint64_t key, index;
  const uint32_t* words;
};

// words[i] = word (skip + i) % 4 of counter {block + (skip + i) / 4, high}      i < n, skip < 4
struct PhiloxArgs {
  uint64_t key, block, high;
  int skip;
  ptrdiff_t n;
  uint32_t* words;
};

template <class T>
using DropoutFn = void(const DropoutArgs<T>&);
using PhiloxFn = void(const PhiloxArgs&);

#define DROPOUT(name, T, isa, pass) STRIATE_WITH_##isa(DropoutFn<T> name;)
#define PHILOX(name, T, isa, pass) STRIATE_WITH_##isa(PhiloxFn name;)
#include "ops/dropout/kernels.inc"
#undef DROPOUT
#undef PHILOX

// --- drivers -------------------------------------------------------------------------------------

// Any strides; out may be x. `probability` of dropping is rounded to a multiple of 2^-32.
struct DropoutOptions {
  double probability, scale, kept, dropped;
  uint64_t key;
};
void dropout(const Operand& x, const DropoutOptions& options, const Operand& out);
// On a GPU: both in C order, or both channels last.
void dropout_launch(const cuda::Stream& stream, const Operand& x, const DropoutOptions& options,
                    const Operand& out);

// Throws std::invalid_argument for a probability outside [0, 1).
void check_probability(const DropoutOptions& options);

template <class T>
DropoutRule<T> rule_of(const DropoutOptions& o) {
  const double words = 4294967296.0, threshold = o.probability * words + 0.5;
  return {uint32_t(threshold < words - 1 ? threshold : words - 1), T(o.scale), T(o.kept),
          T(o.dropped)};
}

// The words of counters {block, high}, {block + 1, high}, …, n of them.
void philox(uint64_t key, uint64_t block, uint64_t high, ptrdiff_t n, uint32_t* words);

}  // namespace striate
