// SPDX-License-Identifier: Apache-2.0
#include "ops/cast/cast.h"

#include "core/loops.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, pass) STRIATE_KERNEL(cast, name, T, isa, 0)
#include "ops/cast/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least
constexpr ptrdiff_t kSome = 256;       // gathered at a time where elements lie apart

template <class From, class To, class F>
void cast_all(F* kernel, const Operand& from, const Operand& to) {
  Loops<2>({from, to}).run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
    const From* x = from.as<const From>() + at[0];
    To* y = to.as<To>() + at[1];
    if (step[0] == 1 && step[1] == 1) return kernel(x, 0, 1, n, y, 0);
    From some[kSome];
    To cast[kSome];
    for (; n > 0; n -= kSome, x += kSome * step[0], y += kSome * step[1]) {
      const ptrdiff_t m = n < kSome ? n : kSome;
      kernel(gathered(x, step[0], m, some), 0, 1, m, cast, 0);
      for (ptrdiff_t i = 0; i < m; ++i) y[i * step[1]] = cast[i];
    }
  });
}

}  // namespace

WidenFn* widen_kernel() { return kernels.best(Dtype::bf16, 0).as<WidenFn>(); }
NarrowFn* narrow_kernel() { return kernels.best(Dtype::f32, 0).as<NarrowFn>(); }

void cast(const Operand& from, const Operand& to) {
  if (from.dtype == Dtype::bf16 && to.dtype == Dtype::f32)
    return cast_all<bfloat16, float>(widen_kernel(), from, to);
  if (from.dtype == Dtype::f32 && to.dtype == Dtype::bf16)
    return cast_all<float, bfloat16>(narrow_kernel(), from, to);
  throw TypeMismatch(
      std::string("cast: out: expected one of float32 and bfloat16 to be made of the "
                  "other, got ") +
      dtype_name(to.dtype) + " of " + dtype_name(from.dtype));
}

}  // namespace striate
