// SPDX-License-Identifier: Apache-2.0
// Connectionist temporal classification (Graves, Fernandez, Gomez and Schmidhuber 2006).
//
// A sequence of T rows of log probabilities over C classes, and S labels. The labels are extended
// with blanks to l of L = 2 S + 1: blank, label, blank, ..., label, blank. With lse = log of the
// sum of exponentials, skip[s] = 0 where l[s] is a label other than l[s - 2] and -inf elsewhere,
// and p[t, s] = log_probs[t, l[s]]:
//
//   alpha[t, s] = p[t, s] + lse(alpha[t-1, s], alpha[t-1, s-1], skip[s] + alpha[t-1, s-2])
//   beta[t, s]  = lse(q[t+1, s], q[t+1, s+1], skip[s+2] + q[t+1, s+2])
//   q[t, s]     = p[t, s] + beta[t, s]
//
//   loss = -log_z                 log_z = lse(alpha[T-1, L-1], alpha[T-1, L-2])
//
//   gamma[t, s]    = exp(alpha[t, s] + beta[t, s] - log_z)
//   gradient[t, c] = exp(log_probs[t, c]) - sum of gamma[t, s] over the s with l[s] = c
//
// The gradient is that with respect to the logits whose log_softmax log_probs is (equation 16).
#pragma once
#include <vector>

#include "core/indices.h"

namespace striate {

namespace cuda {
struct Stream;
}

// One row of alpha (forward) or of beta (backward) from its neighbour. Unit stride. What `from` and
// `skip` reach beyond [0, n), two elements before or behind, must be there and -inf.
template <class T>
struct CtcRow {
  const T *from, *skip, *p;
  ptrdiff_t n;
  T* to;           // alpha[t], or q[t]; may be `from` in the backward pass
  const T* alpha;  // alpha[t], of the backward pass alone, as are the next two
  T log_z;
  T* gamma;
};
template <class T>
using CtcFn = void(const CtcRow<T>&);

enum class CtcPass { forward, backward };

#define ROW(name, T, isa, pass) STRIATE_WITH_##isa(CtcFn<T> name;)
#include "ops/ctc/kernels.inc"
#undef ROW

struct Ctc {
  Operand log_probs;      // (T, N, C), C order
  Indices targets;        // every sample's labels, one behind the other
  Indices input_length;   // (N,), each at most T
  Indices target_length;  // (N,)
  int64_t blank;
  bool zero_infinity;  // a loss of inf is 0, and so is its gradient
};
void check(const Ctc& problem);  // all but the integers' values: those ctc() checks

// loss[n] for every sample, and their gradients, like log_probs, unless its data is null. Throws
// std::out_of_range for a label that is no class, or the blank, and std::invalid_argument for
// lengths that don't fit. Integers are copied first: another thread may write to the caller's.
void ctc(const Ctc& problem, const Operand& loss, const Operand& gradient);

// The integers of a problem, copied and checked.
struct CtcIntegers {
  std::vector<int64_t> steps, labels, start;  // sample n has labels start[n] to start[n + 1]

  explicit CtcIntegers(const Ctc& problem);
  ptrdiff_t count(ptrdiff_t n) const { return start[size_t(n) + 1] - start[size_t(n)]; }
  ptrdiff_t most_states() const;  // 2 S + 1 of the sample with the most labels

  // What the kernel of GPUs reads, one behind the other: steps, start, labels, and for each of
  // these the next one in its sample that is the same, and whether it is the first (ctc_cuda.h).
  std::vector<int64_t> joined() const;
  ptrdiff_t joined_size() const {
    return ptrdiff_t(steps.size() + start.size() + 3 * labels.size());
  }

 private:
  void add_label(const Ctc& p, ptrdiff_t n, ptrdiff_t i);
};

// On a GPU, where log_probs is; the integers are on the CPU. Working space is on the device:
// integers [joined_size()], alpha [samples, steps, most_states()], rows [samples, 3,
// most_states()].
struct CtcSpace {
  int64_t* integers;
  void *alpha, *rows;
};
void ctc_launch(const cuda::Stream& stream, const Ctc& problem, const CtcIntegers& integers,
                const CtcSpace& space, const Operand& loss, void* gradient);

}  // namespace striate
