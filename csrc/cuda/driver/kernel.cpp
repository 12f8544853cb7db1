// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/kernel.h"

#include <algorithm>
#include <string>

#include "core/check.h"
#include "cuda/driver/compile.h"

namespace striate::cuda {
namespace {

// Bytes of dynamic shared memory that a block gets without a request: of 48 KiB, of which 16 are
// left to static arrays.
constexpr unsigned kSharedUnasked = 32 << 10;

std::string size_text(const Size3& s) {
  return "(" + std::to_string(s.x) + ", " + std::to_string(s.y) + ", " + std::to_string(s.z) + ")";
}

std::string launch_text(const char* name, const Stream& stream, const Grid& grid,
                        Operands operands) {
  std::string text = std::string("cuda: ") + name + ":";
  for (const Operand& o : operands)
    text += std::string(" ") + o.name + " " + shape_text(o.shape, o.rank) + ",";
  return text + " grid " + size_text(grid.blocks) + ", block " + size_text(grid.threads) + ", " +
         std::to_string(grid.shared_bytes) + " bytes of shared memory, device " +
         std::to_string(stream.device);
}

}  // namespace

unsigned blocks_for(ptrdiff_t n, unsigned per_block) {
  const ptrdiff_t most = INT32_MAX * ptrdiff_t(per_block);
  if (n < 0 || n > most)
    fail("cuda", "grid", "0 to " + std::to_string(most) + " elements", std::to_string(n));
  return unsigned((n + per_block - 1) / per_block);
}

unsigned blocks_to_fill(const Stream& stream, ptrdiff_t n, unsigned per_block) {
  constexpr ptrdiff_t kOfMultiprocessor = 8;  // blocks of 256 threads that run at one time
  const ptrdiff_t most = kOfMultiprocessor * multiprocessors(stream.device);
  return unsigned(std::min(most, n / per_block + (n % per_block != 0)));
}

Function Module::function(int device, const char* name) {
  const std::lock_guard<std::mutex> lock(guard_);
  ModuleHandle& module = loaded_[device];
  if (module == nullptr) {
    const DeviceInfo info = device_info(device);
    if (!info.why_not.empty())
      throw Error("cuda: device " + std::to_string(device) + " (" + info.name + ") is of " +
                  info.why_not);
    const Build build = compile(file_, architecture_for(info.major, info.minor));
    if (const Result result = api().cuModuleLoadData(&module, build.result.code.data())) {
      module = nullptr;
      raise(result, std::string("cuda: loading ") + file_);
    }
  }
  Function found = nullptr;
  if (const Result result = api().cuModuleGetFunction(&found, module, name))
    raise(result, std::string("cuda: ") + name + " of " + file_);
  return found;
}

// Where the driver can tell (CUDA 12.4): a wrong type in a launcher would be read as rubbish.
void AnyKernel::check_parameters(Function function) const {
  if (api().cuFuncGetParamInfo == nullptr) return;
  size_t offset, bytes;
  for (int i = 0; i < count_; ++i) {
    bytes = 0;  // if there is no such parameter
    if (api().cuFuncGetParamInfo(function, size_t(i), &offset, &bytes) == 0 && bytes == sizes_[i])
      continue;
    throw Error(std::string("cuda: ") + name_ + ": parameter " + std::to_string(i) + " has " +
                std::to_string(bytes) + " bytes in " + module_.file() + ", its launcher passes " +
                std::to_string(sizes_[i]));
  }
  if (api().cuFuncGetParamInfo(function, size_t(count_), &offset, &bytes) == 0)
    throw Error(std::string("cuda: ") + name_ + ": its launcher passes " + std::to_string(count_) +
                " parameters, and " + module_.file() + " has more");
}

Function AnyKernel::function(int device) {
  if (device < 0 || device >= kMostDevices)
    fail("cuda", "device", "0 to 63", std::to_string(device));
  Function known = functions_[device].load(std::memory_order_acquire);
  if (known != nullptr) return known;
  known = module_.function(device, name_);
  check_parameters(known);
  functions_[device].store(known, std::memory_order_release);
  return known;
}

void AnyKernel::launch(const Stream& stream, const Grid& grid, Operands operands,
                       void** arguments) {
  const Size3 &b = grid.blocks, &t = grid.threads;
  if (b.x == 0 || b.y == 0 || b.z == 0) return;
  const Function f = function(stream.device);
  Result result = 0;
  if (grid.shared_bytes > kSharedUnasked)
    result = api().cuFuncSetAttribute(f, kMaxDynamicSharedBytes, int(grid.shared_bytes));
  if (result == 0)
    result = api().cuLaunchKernel(f, b.x, b.y, b.z, t.x, t.y, t.z, grid.shared_bytes, stream.handle,
                                  arguments, nullptr);
  if (result != 0) raise(result, launch_text(name_, stream, grid, operands));
  note_launch(name_);
}

}  // namespace striate::cuda
