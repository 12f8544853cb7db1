// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <climits>

#include "core/blocks.h"
#include "cuda/driver/launchers.h"
#include "ops/norm/norm_cuda.h"
#include "ops/norm/norm_device.h"

namespace striate {
namespace {

constexpr unsigned kThreads = 256, kRowsOfWarps = 8;
constexpr ptrdiff_t kPart = 256;      // rows that a block adds up
constexpr ptrdiff_t kMostOf = 65535;  // of a grid's second and third axis

cuda::Module module("ops/norm/norm_cuda.cu");

template <class T>
struct Kernels {
  cuda::Kernel<NormCuda<T>> stats, join, fwd, sums, slopes, weights, bwd;
};
#define KERNELS(dtype)                                                              \
  {{module, "norm_stats_" dtype "_cuda"},  {module, "norm_join_" dtype "_cuda"},    \
   {module, "norm_fwd_" dtype "_cuda"},    {module, "norm_sums_" dtype "_cuda"},    \
   {module, "norm_slopes_" dtype "_cuda"}, {module, "norm_weights_" dtype "_cuda"}, \
   {module, "norm_bwd_" dtype "_cuda"}}
cuda::ByDtype<Kernels> kernels{KERNELS("f32"), KERNELS("f64")};
#undef KERNELS

ptrdiff_t rows_of_part(ptrdiff_t rows) { return std::max(kPart, ceil_div(rows, kMostOf)); }

template <class T>
class Launches {
 public:
  Launches(const cuda::Stream& stream, const NormOnDevice& p)
      : stream_(stream), p_(p), kernels_(kernels.of(static_cast<const T*>(nullptr))) {
    const int pack = int(16 / sizeof(T));
    a_.x = static_cast<const T*>(p.x), a_.dy = static_cast<const T*>(p.dy);
    a_.images = int(p.images), a_.rows = int(p.rows), a_.channels = int(p.channels);
    a_.group = Divisor::of(int(p.channels / p.groups));
    a_.packs = Divisor::of((int(p.channels) + pack - 1) / pack);
    a_.weight = static_cast<const T*>(p.of_channels.weight);
    a_.bias = static_cast<const T*>(p.of_channels.bias);
    a_.mean = static_cast<T*>(p.of_channels.mean);
    a_.invstd = static_cast<T*>(p.of_channels.invstd);
    a_.eps = T(p.eps), a_.part = int(rows_of_part(p.rows));
    a_.part_a = static_cast<T*>(p.part_a), a_.part_b = static_cast<T*>(p.part_b);
    a_.var = static_cast<T*>(p.var);
    a_.running_mean = static_cast<T*>(p.running.mean);
    a_.running_var = static_cast<T*>(p.running.var), a_.momentum = p.running.momentum;
    a_.given = p.statistics == Statistics::given;
    a_.slope = static_cast<T*>(p.slope), a_.shift = static_cast<T*>(p.shift);
    a_.dweight = static_cast<T*>(p.dweight), a_.dbias = static_cast<T*>(p.dbias);
    a_.y = static_cast<T*>(p.y);
  }

  void statistics() {
    by_parts(kernels_.stats);
    by_group(kernels_.join);
  }
  void forward() { by_element(kernels_.fwd); }
  void backward() {
    by_parts(kernels_.sums);
    by_group(kernels_.slopes);
    launch(kernels_.weights, {{columns()}, {32, 8}}, a_);
    by_element(kernels_.bwd);
  }

 private:
  using Kernel = cuda::Kernel<NormCuda<T>>;

  void launch(Kernel& kernel, const cuda::Grid& grid, const NormCuda<T>& arguments) {
    kernel.launch(stream_, grid, {{"x", {p_.images, p_.rows, p_.channels}}}, arguments);
  }
  unsigned columns() const { return cuda::blocks_for(p_.channels, 32); }
  // As many images at a time as a grid has.
  void by_parts(Kernel& kernel) {
    const ptrdiff_t parts = norm_parts(p_.rows);
    for (ptrdiff_t first = 0; first < p_.images; first += kMostOf) {
      const ptrdiff_t images = std::min(kMostOf, p_.images - first);
      NormCuda<T> a = a_;
      a.x += first * p_.rows * p_.channels;
      if (a.dy) a.dy += first * p_.rows * p_.channels;
      a.mean += first * p_.groups;
      a.part_a += first * parts * p_.channels, a.part_b += first * parts * p_.channels;
      launch(kernel, {{columns(), unsigned(parts), unsigned(images)}, {32, 8}}, a);
    }
  }
  void by_group(Kernel& kernel) {
    const unsigned blocks = cuda::blocks_to_fill(stream_, p_.images * p_.groups, kRowsOfWarps);
    launch(kernel, {{blocks}, {kThreads}}, a_);
  }
  void by_element(Kernel& kernel) {
    const ptrdiff_t packs = p_.images * p_.rows * a_.packs.value;
    launch(kernel, {{cuda::blocks_to_fill(stream_, packs, kThreads)}, {kThreads}}, a_);
  }

  const cuda::Stream& stream_;
  const NormOnDevice& p_;
  Kernels<T>& kernels_;
  NormCuda<T> a_{};
};

}  // namespace

ptrdiff_t norm_parts(ptrdiff_t rows) { return ceil_div(rows, rows_of_part(rows)); }

void check_norm_size(const char* op, const NormOnDevice& p) {
  // Kernels count 16 bytes of channels, and a group's parts, by 31 bits.
  const ptrdiff_t packs = ceil_div(p.channels * ptrdiff_t(item_size(p.dtype)), 16);
  if (p.images * p.rows * packs > INT_MAX || norm_parts(p.rows) * p.channels > INT_MAX)
    fail(op, "x", "at most 2^31 times 16 bytes on a GPU",
         shape_text({p.images, p.rows, p.channels}) + ", images, pixels and channels");
}

void norm_launch(const cuda::Stream& stream, NormPass pass, const NormOnDevice& problem) {
  const cuda::OnDevice here(stream.device);
  dispatch(problem.dtype, [&](auto* t) {
    Launches<pointee<decltype(t)>> launches(stream, problem);
    if (pass == NormPass::backward) return launches.backward();
    if (pass == NormPass::train) launches.statistics();
    launches.forward();
  });
}

}  // namespace striate
