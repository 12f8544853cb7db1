// SPDX-License-Identifier: Apache-2.0
// Kernels as launchers (<op>_launch.cpp) see them. csrc/cuda/probe is a whole example:
//
//   Module module("ops/scale/scale_cuda.cu");
//   Kernel<const float*, float*, long long> scale_f32_cuda(module, "scale_f32_cuda");
//
//   void scale_launch(const Stream& stream, const float* x, float* y, ptrdiff_t n) {
//     const OnDevice here(stream.device);
//     scale_f32_cuda.launch(stream, {{blocks_for(n, 256)}, {256}}, {{"x", {n}}}, x, y, n);
//   }
//
// The types are those of the parameters of the .cu file's extern "C" __global__ function. What is
// passed is converted to them, where no value can be lost, and the driver is asked for the sizes
// that the compiled kernel expects.
#pragma once
#include <atomic>
#include <initializer_list>
#include <mutex>
#include <type_traits>

#include "core/operand.h"
#include "cuda/driver/device.h"
#include "cuda/driver/stream.h"

namespace striate::cuda {

struct Size3 {
  unsigned x = 1, y = 1, z = 1;
};

struct Grid {
  Size3 blocks, threads;      // of a block
  unsigned shared_bytes = 0;  // dynamic shared memory of a block
};

// The blocks of `per_block` elements that cover n; throws where no grid has so many.
unsigned blocks_for(ptrdiff_t n, unsigned per_block);

// The same, but no more than fill the device: for kernels whose threads share the work whatever the
// grid.
unsigned blocks_to_fill(const Stream& stream, ptrdiff_t n, unsigned per_block);

// What an error's message says of an operand. Costs nothing where there is no error. A shape in
// braces lasts for the statement that it is written in, so it is written in the launch.
struct Operand {
  Operand(const char* name, std::initializer_list<ptrdiff_t> shape)
      : name(name), shape(shape.begin()), rank(int(shape.size())) {}
  Operand(const char* name, const striate::Operand& x) : name(name), shape(x.shape), rank(x.rank) {}
  const char* name;
  const ptrdiff_t* shape;
  int rank;
};
using Operands = std::initializer_list<Operand>;

// A .cu file: compiled and loaded on each device where a kernel of it is launched first. Lives as
// long as the process, as what is loaded does.
class Module {
 public:
  explicit constexpr Module(const char* file) : file_(file) {}
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;
  const char* file() const { return file_; }
  // Its device must be the thread's (OnDevice).
  Function function(int device, const char* name);

 private:
  const char* file_;
  std::mutex guard_;
  ModuleHandle loaded_[kMostDevices] = {};
};

class AnyKernel {
 public:
  constexpr AnyKernel(Module& module, const char* name, const size_t* sizes, int count)
      : module_(module), name_(name), sizes_(sizes), count_(count) {}
  AnyKernel(const AnyKernel&) = delete;
  AnyKernel& operator=(const AnyKernel&) = delete;
  void launch(const Stream& stream, const Grid& grid, Operands operands, void** arguments);

 private:
  Function function(int device);
  void check_parameters(Function function) const;

  Module& module_;
  const char* name_;
  const size_t* sizes_;  // bytes of each argument
  int count_;
  std::atomic<Function> functions_[kMostDevices] = {};
};

template <class... Arguments>
class Kernel {
 public:
  static_assert((std::is_trivially_copyable_v<Arguments> && ...), "arguments are copied as bytes");
  constexpr Kernel(Module& module, const char* name)
      : kernel_(module, name, kSizes, int(sizeof...(Arguments))) {}

  // The stream's device must be the thread's (OnDevice). A grid without blocks is none.
  template <class... Given>
  void launch(const Stream& stream, const Grid& grid, Operands operands, const Given&... given) {
    static_assert(sizeof...(Given) == sizeof...(Arguments), "the kernel has another number");
    launch_exact(stream, grid, operands, Arguments{given}...);
  }

 private:
  static constexpr size_t kSizes[] = {sizeof(Arguments)..., 0};

  void launch_exact(const Stream& stream, const Grid& grid, Operands operands,
                    Arguments... arguments) {
    void* addresses[] = {const_cast<void*>(static_cast<const void*>(&arguments))..., nullptr};
    kernel_.launch(stream, grid, operands, addresses);
  }

  AnyKernel kernel_;
};

}  // namespace striate::cuda
