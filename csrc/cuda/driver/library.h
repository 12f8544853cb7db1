// SPDX-License-Identifier: Apache-2.0
// Shared libraries that are opened when they are first needed, and stay open.
#pragma once
#include <string>
#include <vector>

namespace striate::cuda {

// The first of `files` that the loader can open: paths, or names that it looks up. Null where there
// is none, and then `why` is what the loader said of the last.
void* open_first(const std::vector<std::string>& files, std::string& why);

// The address of a symbol, null where the library lacks it.
void* symbol(void* library, const char* name);

// The file that holds this address, "" where it can't be told.
std::string file_of(const void* address);

}  // namespace striate::cuda
