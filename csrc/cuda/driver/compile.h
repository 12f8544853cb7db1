// SPDX-License-Identifier: Apache-2.0
// From the text of a .cu file to code for a chip: from the cache, or by NVRTC.
#pragma once
#include <string>

#include "cuda/driver/nvrtc.h"

namespace striate::cuda {

struct Build {
  Compiled result;
  bool cached;
  double seconds;
};

// `architecture` as NVRTC has it, "sm_80".
Build compile(const std::string& file, const std::string& architecture);

}  // namespace striate::cuda
