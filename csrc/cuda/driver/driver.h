// SPDX-License-Identifier: Apache-2.0
// NVIDIA's driver, loaded when it is first asked for, and its errors.
#pragma once
#include <new>
#include <stdexcept>
#include <string>

#include "cuda/driver/api.h"

namespace striate::cuda {

constexpr int kOldestDriver = 12000;  // as cuDriverGetVersion has it: 1000 major + 10 minor

struct Driver {
  DriverApi api = {};
  std::string path;     // of libcuda; "" if there is none
  int version = 0;      // the newest CUDA it serves
  std::string why_not;  // "" if it can be used
};

// Loads it at the first call: $STRIATE_LIBCUDA, else libcuda.so.1. Never throws for want of it.
const Driver& driver();

// Its functions; throws Error where it can't be used.
const DriverApi& api();

// What the driver says went wrong. std::runtime_error becomes RuntimeError in Python.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The device's memory is full; the process may go on. MemoryError in Python.
class OutOfDeviceMemory : public std::bad_alloc {
 public:
  explicit OutOfDeviceMemory(const std::string& text) : text_(text) {}
  const char* what() const noexcept override { return text_.what(); }

 private:
  std::runtime_error text_;  // a string that can be copied without throwing
};

// "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
std::string error_text(Result error);

// Throws "<what>: <the driver's text>", as the class that fits.
[[noreturn]] void raise(Result error, const std::string& what);

inline void expect(Result result, const char* what) {
  if (result != 0) raise(result, what);
}

// Errors of a kernel arrive at a later call, whose message names the kernel launched last.
void note_launch(const char* kernel);

// "12.4" of 12040
std::string version_text(int version);

}  // namespace striate::cuda
