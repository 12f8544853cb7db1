// SPDX-License-Identifier: Apache-2.0
#include "simd/vec_scalar.h"
//
#include "ops/conv2d/rows.inl"
