// SPDX-License-Identifier: Apache-2.0
#include "ops/elementwise/elementwise.h"

#include "core/loops.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, op) STRIATE_KERNEL(elementwise, name, T, isa, int(Binary::op))
#include "ops/elementwise/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kGrain = 1 << 15;  // elements a thread should have at least

}  // namespace

int broadcast_shape(const char* op, const Operand& a, const Operand& b, ptrdiff_t* shape) {
  int rank = a.rank > b.rank ? a.rank : b.rank;
  for (int i = 0; i < rank; ++i) {
    int ia = i - (rank - a.rank), ib = i - (rank - b.rank);
    ptrdiff_t na = ia < 0 ? 1 : a.shape[ia], nb = ib < 0 ? 1 : b.shape[ib];
    if (na != nb && na != 1 && nb != 1)
      throw std::invalid_argument(std::string(op) + ": shapes " + a.text() + " and " + b.text() +
                                  " do not broadcast: axis " + std::to_string(i - rank) + " has " +
                                  std::to_string(na) + " and " + std::to_string(nb) + " elements");
    shape[i] = na == 1 ? nb : na;
  }
  return rank;
}

void binary(Binary op, const Operand& a, const Operand& b, const Operand& out) {
  const Loops<3> loops({a, b, out});
  dispatch(out.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    auto* kernel = kernels.best(out.dtype, int(op)).template as<BinaryFn<T>>();
    loops.run(kGrain, [&](const ptrdiff_t* at, const ptrdiff_t* step, ptrdiff_t n) {
      kernel(a.as<const T>() + at[0], step[0], b.as<const T>() + at[1], step[1],
             out.as<T>() + at[2], step[2], n);
    });
  });
}

}  // namespace striate
