// SPDX-License-Identifier: Apache-2.0
// Compiled kernels on disk. What lies there runs on the GPU, so nothing is taken that another user
// could have written, and nothing that is not whole.
#pragma once
#include <string>

#include "cuda/driver/nvrtc.h"

namespace striate::cuda {

struct CacheState {
  std::string folder;
  std::string why_not;  // "" if it can be used: everything is then compiled once a process
  size_t files, bytes;
};
CacheState cache_state();

// `name` begins the file's name, for those who look; `key` decides. False where there is none,
// or one that is damaged, another's, or of another key.
bool read_cache(const std::string& name, const std::string& key, Compiled& found);

// Written beside its place and renamed. A disk that is full, or read-only, is no error.
void write_cache(const std::string& name, const std::string& key, const Compiled& made);

}  // namespace striate::cuda
