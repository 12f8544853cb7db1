// SPDX-License-Identifier: Apache-2.0
// Many launches that come again as one: CUDA graphs, made by capturing a stream.
//
//   first call of a key    plain launches, which also compile and load what is not loaded yet
//   second                 captured on a stream of our own, instantiated, launched, kept
//   from then on           one launch
//
// A graph holds its kernels' arguments, so a key names every address and number that a launch
// depends on. CuPy's pool gives the iterations of a training loop the same addresses again; where
// it doesn't, no key comes twice, and nothing is captured. That is why the first call captures
// nothing: by NVIDIA's figures ("Constant Time Launch for Straight-Line CUDA Graphs", 2024) it
// takes one or two microseconds a kernel to instantiate a graph, about what plain launches take,
// and two or three to launch it, however long it is. Not measured here.
//
// Kept are the keys that came last, and no more kernels than kMostKernels, as each takes memory of
// the device: a graph for which there is no room is not made. So keys that come round, and are more
// than fit, are launched plainly, and not captured anew each time.
//
// Plain launches too where a stream is being captured by the caller, whose graph they then join,
// and for a key whose capture has failed: the cause, if it is one of the launches, is told by them.
#pragma once
#include <cstdint>
#include <functional>
#include <type_traits>
#include <vector>

#include "cuda/driver/stream.h"

namespace striate::cuda {

// Numbers and addresses in their order.
class GraphKey {
 public:
  template <class... T>
  GraphKey& add(const T&... values) {
    (words_.push_back(word(values)), ...);
    return *this;
  }
  bool operator==(const GraphKey& other) const { return words_ == other.words_; }

 private:
  template <class T>
  static uint64_t word(const T& value) {
    if constexpr (std::is_pointer_v<T>)
      return reinterpret_cast<uintptr_t>(value);
    else if constexpr (std::is_floating_point_v<T>)
      return __builtin_bit_cast(uint64_t, double(value));
    else
      return uint64_t(value);
  }
  std::vector<uint64_t> words_;
};

// Queues launches on the stream that it is given, and does nothing else with the device.
using Launches = std::function<void(const Stream&)>;

// launches(stream), or the same by a graph. `name`, which lives as long as the process, tells keys
// of one operation from those of another, and errors what failed. The stream's device must be the
// thread's (OnDevice).
void launch_again(const Stream& stream, const char* name, GraphKey key, const Launches& launches);

}  // namespace striate::cuda
