// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/driver.h"

#include <pthread.h>
#include <atomic>
#include <cstdlib>

#include "cuda/driver/library.h"

namespace striate::cuda {
namespace {

std::atomic<bool> in_a_fork{false};
thread_local const char* launched_last = nullptr;

std::vector<std::string> places() {
  const char* told = std::getenv("STRIATE_LIBCUDA");
  if (told != nullptr && *told != 0) return {told};
  return {"/usr/lib/wsl/lib/libcuda.so.1", "libcuda.so.1"};  // WSL's lies off the loader's path
}

// The first name that the library lacks, "" if none.
std::string fill(void* library, DriverApi& api) {
  std::string missing;
#define ENTRY(name, arguments)                                             \
  api.name = reinterpret_cast<decltype(api.name)>(symbol(library, #name)); \
  if (api.name == nullptr && missing.empty()) missing = #name;
  STRIATE_DRIVER_ENTRIES(ENTRY)
#undef ENTRY
#define ENTRY(name, arguments) \
  api.name = reinterpret_cast<decltype(api.name)>(symbol(library, #name));
  STRIATE_DRIVER_EXTRAS(ENTRY)
#undef ENTRY
  return missing;
}

std::string text_of(const DriverApi& api, Result error) {
  const char *name = nullptr, *text = nullptr;
  api.cuGetErrorName(error, &name);
  api.cuGetErrorString(error, &text);
  return std::string(name ? name : "unknown error") + " (" + std::to_string(error) + ")" +
         (text ? std::string(": ") + text : "");
}

Driver load() {
  Driver d;
  std::string loader;
  void* library = open_first(places(), loader);
  if (library == nullptr) {
    d.why_not = "no NVIDIA driver was found (" + loader + ")";
    return d;
  }
  const std::string missing = fill(library, d.api);
  if (d.api.cuInit != nullptr) d.path = file_of(reinterpret_cast<void*>(d.api.cuInit));
  const std::string needs = "; CUDA 12.0 (driver 525) or later is needed";
  if (d.api.cuDriverGetVersion == nullptr || d.api.cuDriverGetVersion(&d.version) != 0) {
    d.why_not = "the NVIDIA driver does not tell its version" + needs;
  } else if (d.version < kOldestDriver) {
    d.why_not = "the NVIDIA driver is of CUDA " + version_text(d.version) + needs;
  } else if (!missing.empty()) {
    d.why_not = "the NVIDIA driver lacks " + missing + needs;
  } else if (const Result result = d.api.cuInit(0)) {
    d.why_not = result == kNoDevice
                    ? "the NVIDIA driver finds no GPU (CUDA_VISIBLE_DEVICES may hide it)"
                    : "the NVIDIA driver can't start: " + text_of(d.api, result);
  }
  // The driver serves no child of a process that has started it.
  if (d.why_not.empty()) pthread_atfork(nullptr, nullptr, [] { in_a_fork = true; });
  return d;
}

bool context_is_lost(Result error) {
  return error == kIllegalAddress || error == kLaunchTimeout || error == kAssert ||
         (error >= kHardwareStackError && error <= kLaunchFailed);
}

}  // namespace

const Driver& driver() {
  static const Driver* const loaded = new Driver(load());  // outlives whatever runs at exit
  return *loaded;
}

const DriverApi& api() {
  const Driver& d = driver();
  if (!d.why_not.empty()) throw Error("cuda: " + d.why_not);
  if (in_a_fork.load(std::memory_order_relaxed))
    throw Error(
        "cuda: this process was forked from one that had used CUDA, which the driver does not "
        "allow; start it with the method 'spawn' or 'forkserver' of multiprocessing");
  return d.api;
}

std::string error_text(Result error) { return text_of(driver().api, error); }

void raise(Result error, const std::string& what) {
  const std::string text = what + ": " + error_text(error);
  if (error == kOutOfMemory) throw OutOfDeviceMemory(text);
  if (!context_is_lost(error)) throw Error(text);
  throw Error(text + "; the kernel launched last by this thread is " +
              (launched_last ? launched_last : "none of striate's") +
              ", and this process can't use the GPU any more");
}

void note_launch(const char* kernel) { launched_last = kernel; }

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace striate::cuda
