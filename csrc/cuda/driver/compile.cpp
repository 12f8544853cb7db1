// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/compile.h"

#include <chrono>

#include "core/sha256.h"
#include "cuda/driver/cache.h"
#include "cuda/driver/driver.h"

namespace striate::cuda {
namespace {

// As the heads of csrc/cuda/device have it: multiply-adds are fused where it is written and nowhere
// else, and denormals are flushed, as on the CPU.
std::vector<std::string> options_for(const std::string& architecture) {
  return {
      "--gpu-architecture=" + architecture,
      "--std=c++17",
      "--device-as-default-execution-space",
      "--fmad=false",
      "--ftz=true",
      "--generate-line-info",  // for profilers and compute-sanitizer; costs no speed
      "--ptxas-options=-v",    // registers and spills, into the log
  };
}

std::string key_of(const Source& source, const std::vector<std::string>& options) {
  Sha256 hash;
  hash.add_text("NVRTC " + version_text(nvrtc().version));
  for (const std::string& option : options) hash.add_text(option);
  hash.add_text(source.file);
  hash.add_text(source.text);
  for (const auto& [name, text] : source.headers) hash.add_text(name), hash.add_text(text);
  return hash.hex();
}

// "reduce_cuda-sm_80"
std::string name_of(const std::string& file, const std::string& architecture) {
  const std::string last = file.substr(file.find_last_of('/') + 1);
  return last.substr(0, last.find('.')) + "-" + architecture;
}

}  // namespace

Build compile(const std::string& file, const std::string& architecture) {
  if (!nvrtc().why_not.empty()) throw Error("cuda: " + nvrtc().why_not);
  const auto begin = std::chrono::steady_clock::now();
  const Source source = read_source(file);
  const std::vector<std::string> options = options_for(architecture);
  const std::string name = name_of(file, architecture), key = key_of(source, options);
  Build build{{}, true, 0};
  if (!read_cache(name, key, build.result)) {
    build.result = run_nvrtc(source, options);
    build.cached = false;
    write_cache(name, key, build.result);
  }
  build.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return build;
}

}  // namespace striate::cuda
