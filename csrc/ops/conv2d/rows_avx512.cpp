// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_avx512.h"
//
#include "ops/conv2d/rows.inl"
