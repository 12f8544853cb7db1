// SPDX-License-Identifier: Apache-2.0
#include "core/check.h"

namespace striate {

void fail(const char* op, const char* argument, const std::string& expected,
          const std::string& got) {
  throw std::invalid_argument(std::string(op) + ": " + argument + ": expected " + expected +
                              ", got " + got);
}

std::string shape_text(const ptrdiff_t* shape, int rank) {
  std::string text = "(";
  for (int i = 0; i < rank; ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + (rank == 1 ? ",)" : ")");
}

std::string shape_text(std::initializer_list<ptrdiff_t> shape) {
  return shape_text(shape.begin(), int(shape.size()));
}

ptrdiff_t checked_product(const char* op, const char* argument, const ptrdiff_t* factors,
                          int count) {
  ptrdiff_t product = 1;
  for (int i = 0; i < count; ++i) {
    if (factors[i] < 0) fail(op, argument, "sizes of 0 or more", shape_text(factors, count));
    if (__builtin_mul_overflow(product, factors[i], &product))
      fail(op, argument, "at most 2^63 - 1 elements", shape_text(factors, count));
  }
  return product;
}

}  // namespace striate
