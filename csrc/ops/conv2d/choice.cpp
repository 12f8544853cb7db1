// SPDX-License-Identifier: Apache-2.0
#include "ops/conv2d/choice.h"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/blocks.h"
#include "core/memory.h"
#include "core/precision.h"
#include "ops/conv2d/depthwise.h"
#include "ops/conv2d/patches.h"
#include "ops/conv2d/winograd.h"
#include "ops/gemm/tile.h"
#include "ops/gemm/wide.h"

namespace striate {
namespace {

std::atomic<size_t> workspace_limit{kConvWorkspace};

const Table<ConvMethodRow> methods{
#define ROW(name, T, pass, way)                                                             \
  ConvMethodRow{{"conv2d", "method", #name, dtype_of<T>, Isa::scalar, int(ConvPass::pass)}, \
                ConvMethod::way},
#include "ops/conv2d/methods.inc"
#undef ROW
};

// Whether the padded copy of the `rows` method is of a size like the image's. Strides and paddings
// may be astronomic; in double, nothing overflows.
bool copy_is_modest(ConvPass pass, const ConvShape& s) {
  const double n = double(s.n);
  if (pass == ConvPass::bwd_data) {
    double image = n * double(s.p) * double(s.q) * double(s.k);
    return n * double(s.p) * double(s.w + s.s - 1) * double(s.k) <= 4 * image + 1e6;
  }
  double height = double(s.p - 1) * double(s.stride_h) + double(s.r - 1) * double(s.dilation_h) + 1;
  double width = double(s.q - 1) * double(s.stride_w) + double(s.s);
  double image = n * double(s.h) * double(s.w) * double(s.c);
  return n * height * width * double(s.c) <= 4 * image + 1e6;
}

// Whether products of them with sizes of the image overflow nothing.
bool offsets_are_modest(const ConvShape& s) {
  constexpr ptrdiff_t kMost = 1 << 16;
  return std::max({s.stride_h, s.stride_w, s.top, s.left, s.dilation_h}) <= kMost;
}

bool accepts(ConvMethod method, ConvPass pass, const ConvShape& s) {
  switch (method) {
    case ConvMethod::gemm:
      return s.r == 1 && s.s == 1 && s.stride_h == 1 && s.stride_w == 1 && s.top == 0 &&
             s.left == 0 && s.p == s.h && s.q == s.w && s.groups == 1;
    case ConvMethod::sampled:
      return s.r == 1 && s.s == 1 && s.top == 0 && s.left == 0 && s.groups == 1 &&
             (s.p - 1) * s.stride_h < s.h && (s.q - 1) * s.stride_w < s.w;
    case ConvMethod::patches:
      return s.groups == 1 && s.p * s.q > 0 && offsets_are_modest(s);
    case ConvMethod::depthwise:
      return s.groups == s.c && s.k == s.c && s.groups > 1;
    case ConvMethod::winograd_f4x4:
      return winograd_accepts(s, 4);
    case ConvMethod::winograd_f2x2:
      return winograd_accepts(s, 2);
    case ConvMethod::scatter:
      return s.groups == 1 && s.dilation_w == 1 && s.p * s.q > 0 && offsets_are_modest(s);
    case ConvMethod::rows:
      return s.groups == 1 && s.dilation_w == 1 && copy_is_modest(pass, s) &&
             (pass != ConvPass::bwd_data || (s.stride_h == 1 && s.stride_w == 1 && s.left < s.s));
    case ConvMethod::implicit:
      return true;
  }
  return false;
}

// Whether its errors are larger than those of direct sums.
bool rounds_more(ConvMethod method) { return method == ConvMethod::winograd_f4x4; }

// The model, in multiply-adds of whole vectors, fitted to benchmarks/conv_choice.py on a Zen 3.
class Model {
 public:
  Model(const ConvShape& s, ConvPass pass, Dtype dtype)
      : s_(s),
        pass_(pass),
        dtype_(dtype),
        item_(double(item_size(dtype))),
        lanes_(double(gemm_kernel(dtype).nr) / 2),
        tall_(gemm_kernel(dtype).mr),
        pixels_(double(s.n) * double(s.p) * double(s.q)),
        inputs_(double(s.n) * double(s.h) * double(s.w)),
        taps_(double(s.r) * double(s.s)),
        c_(double(s.group_c())),
        k_(double(s.group_k())),
        groups_(double(s.groups)) {}

  double cost(ConvMethod method) const {
    switch (method) {
      case ConvMethod::gemm:
        return pixels_ * c_ * k_ + through_caches();
      case ConvMethod::sampled:
        return 1.1 * pixels_ * c_ * k_ + copy(pixels_ * c_);
      case ConvMethod::patches:
        return patches() + through_caches();
      case ConvMethod::depthwise:
        return 2.5 * pixels_ * groups_ * taps_;
      case ConvMethod::winograd_f4x4:
        return winograd_cost(s_, pass_, 4, item_, lanes_, masked_store());
      case ConvMethod::winograd_f2x2:
        return winograd_cost(s_, pass_, 2, item_, lanes_, masked_store());
      case ConvMethod::scatter: {
        const double windows = pixels_ * double(s_.r), window = double(s_.s) * c_;
        return 1.15 * pixels_ * columns(taps_ * c_) * steps(k_) +
               8 * windows * vectors(window) * lanes_ + copy(inputs_ * c_) + filters();
      }
      case ConvMethod::rows:
        return rows() + filters();
      case ConvMethod::implicit:
        return groups_ * (met() * implicit() + filters()) + through_caches();
    }
    return 0;
  }

  double workspace(ConvMethod method) const {
    const bool weight = pass_ == ConvPass::bwd_weight;
    const double filters = item_ * panels(pass_ == ConvPass::bwd_data ? c_ : k_) * taps_ *
                           (pass_ == ConvPass::bwd_data ? k_ : c_);
    switch (method) {
      case ConvMethod::gemm:
        return weight ? parts() : pass_ == ConvPass::fwd ? wide_bytes(dtype_, k_, pixels_, c_) : 0;
      case ConvMethod::patches: {
        const double met = patches_met(s_), bytes = met * pixels_ * taps_ * c_ * item_;
        const double part = copies(bytes / item_) / std::max(bytes, 1.0);  // images at a time
        return part * (bytes + (met < 1 ? met * pixels_ * k_ * item_ : 0)) +
               wide_bytes(dtype_, k_, part * met * pixels_, taps_ * c_);
      }
      case ConvMethod::sampled:
        return copies(pixels_ * c_) + parts();
      case ConvMethod::depthwise: {
        const double parts = weight ? double(ceil_div(s_.n * s_.p, kDepthwiseRows)) : 1;
        const double line = 64 / item_;  // whole ones of channels
        return item_ * parts * taps_ * std::ceil(groups_ / line) * line;
      }
      case ConvMethod::winograd_f4x4:
        return winograd_workspace(s_, pass_, 4, dtype_);
      case ConvMethod::winograd_f2x2:
        return winograd_workspace(s_, pass_, 2, dtype_);
      case ConvMethod::scatter:
        return item_ * panels(taps_ * c_) * k_;
      case ConvMethod::rows: {
        if (!weight) return filters;
        const double height = double((s_.p - 1) * s_.stride_h + (s_.r - 1) * s_.dilation_h + 1);
        const double width = double((s_.q - 1) * s_.stride_w + s_.s);
        return copies(double(s_.n) * height * width * c_) +
               std::max(parts(), item_ * taps_ * c_ * k_);
      }
      case ConvMethod::implicit:
        return weight ? 0 : std::min(filters, double(conv_workspace()));
    }
    return 0;
  }

 private:
  double panels(double n) const {  // of n columns, whole
    const double nr = 2 * lanes_;
    return double(ceil_div(ptrdiff_t(n), ptrdiff_t(nr))) * nr;
  }
  // Sums of parts of the pixels, where there are several.
  double parts() const {
    const double elements = taps_ * c_ * k_;
    const ptrdiff_t count = conv_pixel_parts(ptrdiff_t(pixels_), elements);
    return count > 1 ? item_ * double(count) * elements : 0;
  }
  // So many elements of all images, copied some at a time.
  double copies(double n) const {
    return std::min(item_ * n, std::max(double(kConvCopyBytes), item_ * n / double(s_.n)));
  }
  double vectors(double n) const { return double(ceil_div(ptrdiff_t(n), ptrdiff_t(lanes_))); }
  // Columns of a tile that n take. One vector of them makes a chain a row: 6 rows are too few.
  double columns(double n) const {
    const double whole = vectors(n) * lanes_;
    return whole == lanes_ && tall_ < 8 ? whole * 8 / tall_ : whole;
  }
  // Steps of a tile for a run of n values: new pointers cost some.
  static double steps(double n) { return n + 3; }
  // Of AVX2, on AMD: 20 cycles.
  double masked_store() const { return tall_ < 8 ? 40 * lanes_ : 0; }
  // Elements read and written: half a cycle each.
  double copy(double n) const { return n * lanes_; }

  // Packing them.
  double filters() const { return pass_ == ConvPass::bwd_weight ? 0 : copy(taps_ * c_ * k_); }

  // Lines of a result that no cache holds are read before they are written, but by `rows`.
  double through_caches() const {
    if (pass_ == ConvPass::bwd_weight) return 0;
    const double result = pass_ == ConvPass::fwd ? pixels_ * groups_ * k_ : inputs_ * groups_ * c_;
    return result * item_ < double(kPastCachesBytes) ? 0 : copy(result);
  }

  // The part of the pixels of y that 1x1 filters meet an input at, by whole rows: tiles that meet
  // none are left out.
  double met() const {
    if (taps_ > 1 || pass_ == ConvPass::bwd_data) return 1;
    const ptrdiff_t end = std::min(s_.p, ceil_div(s_.h + s_.top, s_.stride_h));
    return double(std::max<ptrdiff_t>(end - ceil_div(s_.top, s_.stride_h), 0)) / double(s_.p);
  }

  // Runs of a filter's row are copied, 20 cycles each; the products then turn the filters, but for
  // a few pixels or where pixels fill wide panels.
  double patches() const {
    constexpr double kFew = 16;
    const double met = pixels_ * patches_met(s_), values = met * taps_ * c_;
    const double runs = met * double(s_.r) * (s_.dilation_w > 1 ? double(s_.s) : 1);
    const bool turns = met > kFew && wide_bytes(dtype_, k_, met, taps_ * c_) == 0;
    return values * k_ + 1.5 * copy(values) + 40 * runs * lanes_ + (turns ? filters() : 0) +
           (met < pixels_ ? copy(pixels_ * k_) : 0);
  }

  double implicit() const {
    switch (pass_) {
      case ConvPass::fwd:
        return pixels_ * columns(k_) * taps_ * steps(c_);
      case ConvPass::bwd_data:
        return 1.1 * pixels_ * beside() * columns(c_) * taps_ * steps(k_) + copy(inputs_ * c_) / 4;
      case ConvPass::bwd_weight:
        return (taps_ == 1 ? 1.8 : 1.15) * pixels_ * columns(c_) * taps_ * k_ + copy(inputs_ * c_);
    }
    return 0;
  }

  // Columns of x beside those that y lies over meet only zeros: rows of them are left out.
  double beside() const {
    return std::max(1.0, double(s_.w) / std::max(1.0, double(s_.q) * double(s_.stride_w)));
  }

  double rows() const {
    const bool data = pass_ == ConvPass::bwd_data;
    const double row = double(s_.s) * (data ? k_ : c_);
    if (pass_ == ConvPass::bwd_weight)
      return (row > 64 ? tall_ < 8 ? 1.5 : 1.17 : 1.1) * pixels_ * columns(k_) * taps_ * c_ +
             copy(inputs_ * c_ + pixels_ * k_ / 2);
    const double lines = double(s_.n) * double(data ? s_.h : s_.p);
    const double width = vectors(data ? c_ : k_) * lanes_;
    return lines * heights(data ? s_.w : s_.q) * width * (double(s_.r) * row + 4) +
           copy(data ? pixels_ * k_ : inputs_ * c_);
  }

  // What tiles of a row of so many pixels take: those of fewer than four wait for their sums.
  double heights(ptrdiff_t pixels) const {
    const ptrdiff_t tiles = ceil_div(pixels, tall_), m = pixels / tiles;
    const ptrdiff_t higher = pixels - tiles * m;
    return double(higher * std::max<ptrdiff_t>(m + 1, 4) +
                  (tiles - higher) * std::max<ptrdiff_t>(m, 4));
  }

  const ConvShape& s_;
  const ConvPass pass_;
  const Dtype dtype_;
  const double item_, lanes_;
  const ptrdiff_t tall_;
  const double pixels_, inputs_, taps_, c_, k_, groups_;
};

}  // namespace

size_t conv_workspace() { return workspace_limit.load(std::memory_order_relaxed); }
void set_conv_workspace(size_t bytes) { workspace_limit.store(bytes, std::memory_order_relaxed); }

ptrdiff_t conv_pixel_parts(ptrdiff_t pixels, double elements) {
  constexpr ptrdiff_t kPixels = 1024, kParts = 8;
  constexpr double kElements = 1 << 20;  // of all parts' sums
  if (elements > kElements / 2) return 1;
  const auto most = ptrdiff_t(kElements / std::max(elements, 1.0));
  const ptrdiff_t wanted = std::clamp<ptrdiff_t>(pixels / kPixels, 1, std::min(kParts, most));
  ptrdiff_t parts = 1;  // a power of two, as numbers of threads are
  while (2 * parts <= wanted) parts *= 2;
  return parts;
}

std::vector<ConvCandidate> conv_candidates(const ConvShape& s, ConvPass pass, Dtype dtype) {
  const std::vector<const ConvMethodRow*>& rows = methods.runnable(dtype, int(pass));
  const bool pinned = rows.size() == 1, exact = float32_precision() == Precision::highest;
  const Model model(s, pass, dtype);
  auto allowed = [&](ConvMethod method) {
    if (exact && rounds_more(method)) return false;
    return method == ConvMethod::implicit || model.workspace(method) <= double(conv_workspace());
  };
  std::vector<ConvCandidate> list;
  for (const ConvMethodRow* row : rows)
    if (accepts(row->method, pass, s) && (pinned || allowed(row->method)))
      list.push_back({row, model.cost(row->method), model.workspace(row->method)});
  if (list.empty()) {  // the pinned row does not serve this shape
    static const ConvMethodRow fallback{
        {"conv2d", "method", "conv2d_implicit", dtype, Isa::scalar, int(pass)},
        ConvMethod::implicit};
    list.push_back(
        {&fallback, model.cost(ConvMethod::implicit), model.workspace(ConvMethod::implicit)});
  }
  return list;
}

const ConvMethodRow& conv_choice(const ConvShape& s, ConvPass pass, Dtype dtype) {
  const std::vector<ConvCandidate> list = conv_candidates(s, pass, dtype);
  const std::string record = conv_record(s, pass, dtype);
  if (!record.empty())
    for (const ConvCandidate& c : list)
      if (record == c.row->name) return *c.row;
  return *std::min_element(list.begin(), list.end(), [](const auto& a, const auto& b) {
            return a.cost < b.cost;
          })->row;
}

}  // namespace striate
