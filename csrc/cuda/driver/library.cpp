// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/library.h"

#include <dlfcn.h>

namespace striate::cuda {

void* open_first(const std::vector<std::string>& files, std::string& why) {
  for (const std::string& file : files) {
    if (void* library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    const char* said = dlerror();
    why = said == nullptr ? file + ": unknown error of the loader" : said;
    if (why == file + ": cannot open shared object file: No such file or directory")
      why = "there is no " + file;
  }
  return nullptr;
}

void* symbol(void* library, const char* name) { return dlsym(library, name); }

std::string file_of(const void* address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return "";
  return info.dli_fname;
}

}  // namespace striate::cuda
