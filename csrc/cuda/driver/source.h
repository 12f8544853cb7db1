// SPDX-License-Identifier: Apache-2.0
// Device code, which is installed beside this library as text.
#pragma once
#include <map>
#include <string>

namespace striate::cuda {

// The folder that "ops/reduce/reduce_cuda.cu" and #include "cuda/device/copy.cuh" are relative to:
// $STRIATE_CUDA_SOURCES, else csrc/ beside this library.
std::string source_folder();

struct Source {
  std::string file;  // as above
  std::string text;
  std::map<std::string, std::string> headers;  // the text of each that is included, by name
};

// Reads a file and all that it includes in quotes, directly or not. A header that is not in the
// folder is left to the compiler, since the preprocessor may skip that line.
Source read_source(const std::string& file);

}  // namespace striate::cuda
