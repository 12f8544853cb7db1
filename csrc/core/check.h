// SPDX-License-Identifier: Apache-2.0
// Errors that say: which argument, what was expected, what came.
//
// std::invalid_argument becomes ValueError in Python, std::out_of_range IndexError, TypeMismatch
// TypeError, std::bad_alloc MemoryError.
#pragma once
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>

namespace striate {

struct TypeMismatch : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// "conv2d: weight: expected rank 4, got rank 2"
[[noreturn]] void fail(const char* op, const char* argument, const std::string& expected,
                       const std::string& got);

// "(8, 4, 3, 3)"
std::string shape_text(const ptrdiff_t* shape, int rank);
std::string shape_text(std::initializer_list<ptrdiff_t> shape);

// The product; throws std::invalid_argument naming op and argument if it passes PTRDIFF_MAX.
ptrdiff_t checked_product(const char* op, const char* argument, const ptrdiff_t* factors,
                          int count);

}  // namespace striate
