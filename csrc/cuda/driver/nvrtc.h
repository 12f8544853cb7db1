// SPDX-License-Identifier: Apache-2.0
// NVRTC, NVIDIA's compiler as a library: loaded when something has to be compiled.
#pragma once
#include <string>
#include <vector>

#include "cuda/driver/api.h"
#include "cuda/driver/source.h"

namespace striate::cuda {

struct Nvrtc {
  NvrtcApi api = {};
  std::string path;
  int version = 0;      // 1000 major + 10 minor
  std::string why_not;  // "" if it can be used
};

// Where Python looks for packages; NVIDIA's are in nvidia/ there. To be called before nvrtc().
void set_package_folders(std::vector<std::string> folders);

// Loads it at the first call: $STRIATE_NVRTC, else that of NVIDIA's packages, else the loader's; of
// CUDA 13 where there is no driver or one that takes its code, else of CUDA 12. Never throws for
// want of it.
const Nvrtc& nvrtc();

// "sm_90a": what to compile for, for a device of this compute capability. The newest that NVRTC
// knows and the device takes, where the device is younger than NVRTC.
std::string architecture_for(int major, int minor);

struct Compiled {
  std::string code;  // a cubin
  std::string log;   // warnings; registers and spills of each kernel
};

// Throws Error with NVRTC's own log, which names files and lines.
Compiled run_nvrtc(const Source& source, const std::vector<std::string>& options);

}  // namespace striate::cuda
