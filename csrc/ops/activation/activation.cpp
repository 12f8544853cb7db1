// SPDX-License-Identifier: Apache-2.0
#include "ops/activation/activation.h"

#include <cstring>

#include "core/loops.h"

namespace striate {
namespace {

enum Pass { forward, backward };
constexpr int variant(Activation f, Pass pass) { return 2 * int(f) + pass; }

const Table<Kernel> kernels{
#define ROW(name, T, isa, f, F, pass) \
  STRIATE_KERNEL(activation, name, T, isa, variant(Activation::f, pass))
#include "ops/activation/kernels.inc"
#undef ROW
};

constexpr const char* kNames[] = {
#define ACTIVATION(f, F, saved) #f,
#include "ops/activation/names.inc"
#undef ACTIVATION
};

constexpr ptrdiff_t kGrain = 1 << 14;  // elements a thread should have at least
constexpr ptrdiff_t kBlock = 256;      // elements of a strided run gathered at a time

// Calls body(block, begin, n) on the pieces of a run that fit a buffer; on all of it at once if
// every stride is 1. `block` is where the result of unit stride goes, and is spread from there.
template <class T, class F>
void in_blocks(T* out, ptrdiff_t out_step, bool dense, ptrdiff_t n, F&& body) {
  if (dense) return body(out, 0, n);
  T buffer[kBlock];
  for (ptrdiff_t i = 0; i < n; i += kBlock) {
    ptrdiff_t count = n - i < kBlock ? n - i : kBlock;
    body(buffer, i, count);
    for (ptrdiff_t j = 0; j < count; ++j) out[(i + j) * out_step] = buffer[j];
  }
}

template <class T>
Parameters<T> narrow(Parameters<double> p) {
  return {T(p.a), T(p.b)};
}

}  // namespace

template <class T>
UnaryFn<T>* activation_kernel(Activation f) {
  return kernels.best(dtype_of<T>, variant(f, forward)).template as<UnaryFn<T>>();
}
template UnaryFn<float>* activation_kernel<float>(Activation);
template UnaryFn<double>* activation_kernel<double>(Activation);

template <class T>
UnaryBackwardFn<T>* activation_backward_kernel(Activation f) {
  return kernels.best(dtype_of<T>, variant(f, backward)).template as<UnaryBackwardFn<T>>();
}
template UnaryBackwardFn<float>* activation_backward_kernel<float>(Activation);
template UnaryBackwardFn<double>* activation_backward_kernel<double>(Activation);

const char* activation_name(Activation f) { return kNames[int(f)]; }

const char* activation_saves(Activation f) {
  static constexpr const char* saves[] = {
#define ACTIVATION(f, F, saved) #saved,
#include "ops/activation/names.inc"
#undef ACTIVATION
  };
  return saves[int(f)];
}

Activation activation_by_name(const char* name) {
  std::string choices;
  int i = 0;
  for (const char* known : kNames) {
    if (std::strcmp(name, known) == 0) return Activation(i);
    choices += (i++ ? ", " : "") + std::string(known);
  }
  throw std::invalid_argument("activation: expected one of " + choices + ", got \"" + name + "\"");
}

void activation(Activation f, const Operand& x, Parameters<double> parameter, const Operand& y) {
  const Loops<2> loops({x, y});
  dispatch(y.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    UnaryFn<T>* kernel = activation_kernel<T>(f);
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      const T* from = x.as<const T>() + at[0];
      bool dense = step[0] == 1 && step[1] == 1;
      in_blocks(y.as<T>() + at[1], step[1], dense, n, [&](T* to, ptrdiff_t i, ptrdiff_t count) {
        kernel(gathered(from + i * step[0], step[0], count, to), to, count, narrow<T>(parameter));
      });
    });
  });
}

void activation_backward(Activation f, const Operand& saved, const Operand& dy,
                         Parameters<double> parameter, const Operand& dx) {
  const Loops<3> loops({saved, dy, dx});
  dispatch(dx.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    UnaryBackwardFn<T>* kernel = activation_backward_kernel<T>(f);
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      const T *kept = saved.as<const T>() + at[0], *grad = dy.as<const T>() + at[1];
      bool dense = step[0] == 1 && step[1] == 1 && step[2] == 1;
      in_blocks(dx.as<T>() + at[2], step[2], dense, n, [&](T* to, ptrdiff_t i, ptrdiff_t count) {
        T buffer[kBlock];
        kernel(gathered(kept + i * step[0], step[0], count, to),
               gathered(grad + i * step[1], step[1], count, buffer), to, count,
               narrow<T>(parameter));
      });
    });
  });
}

}  // namespace striate
