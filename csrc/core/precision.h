// SPDX-License-Identifier: Apache-2.0
// How closely float32 has to be computed, which decides between algorithms, not formats.
#pragma once
#include <string>

namespace striate {

//   highest   direct sums, and Winograd F(2x2), whose error measures no larger
//   high      also Winograd F(4x4); see docs/accuracy.rst
//   medium    as high on the CPU
enum class Precision { highest, high, medium };

Precision float32_precision();  // high unless set
void set_float32_precision(Precision precision);

const char* precision_name(Precision precision);
// Throws std::invalid_argument for a name that is none.
Precision precision_of(const std::string& name);

}  // namespace striate
