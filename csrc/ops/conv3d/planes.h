// SPDX-License-Identifier: Apache-2.0
// Which planes of a volume meet which planes of a filter, and the calls that follow from it.
#pragma once
#include <algorithm>
#include <vector>

#include "ops/conv2d/implicit.h"
#include "ops/conv3d/conv3d.h"

namespace striate {

// Filter plane t meets input plane `plane`.
struct PlaneTap {
  ptrdiff_t t, plane;
};
using PlaneTaps = std::vector<PlaneTap>;

// Output planes begin, begin + step, … (`count` of them), of which the first has these taps; those
// of the i-th are i * in_step planes further.
struct PlaneRun {
  ptrdiff_t begin, step, count, in_step;
  PlaneTaps taps;
};

inline bool continues(const PlaneRun& run, const PlaneTaps& next) {
  if (run.taps.size() != next.size()) return false;
  for (size_t i = 0; i < next.size(); ++i)
    if (next[i].t != run.taps[i].t || next[i].plane != run.taps[i].plane + run.count * run.in_step)
      return false;
  return true;
}

// All output planes as runs: `planes` of them in `step` classes, `taps_of(plane)` gives their taps.
template <class F>
std::vector<PlaneRun> runs_of(ptrdiff_t planes, ptrdiff_t step, ptrdiff_t in_step, F&& taps_of) {
  std::vector<PlaneRun> runs;
  for (ptrdiff_t first = 0; first < std::min(step, planes); ++first) {
    bool fresh = true;
    for (ptrdiff_t plane = first; plane < planes; plane += step) {
      PlaneTaps taps = taps_of(plane);
      if (!fresh && continues(runs.back(), taps)) {
        ++runs.back().count;
      } else {
        runs.push_back({plane, step, 1, in_step, std::move(taps)});
        fresh = false;
      }
    }
  }
  return runs;
}

// Sizes of both sides of a pass, in elements.
struct Volumes {
  ptrdiff_t n, in_planes, in_plane, out_planes, out_plane;
};

// Calls body(grid, taps) with the images of a run set in the grid (n, both sides' data and image
// strides), taps[i] being the offset of its i-th plane tap.
template <class T, class F>
void for_images(const PlaneRun& run, const Volumes& v, PixelGrid<T> grid, F&& body) {
  const T* in = grid.in.data;
  T* out = grid.out.data;
  std::vector<ptrdiff_t> offsets(run.taps.size());
  auto call = [&](ptrdiff_t shift) {
    for (size_t i = 0; i < offsets.size(); ++i)
      offsets[i] = (run.taps[i].plane + shift) * v.in_plane;
    body(grid, offsets);
  };
  if (run.count >= v.n) {
    grid.n = run.count;
    // A single plane, or one without taps, may have an astronomic stride: it is not used.
    const bool strided = run.count > 1 && !run.taps.empty();
    grid.in.image = strided ? run.in_step * v.in_plane : 0;
    grid.out.image = run.step * v.out_plane;
    for (ptrdiff_t n = 0; n < v.n; ++n) {
      grid.in.data = in + n * v.in_planes * v.in_plane;
      grid.out.data = out + (n * v.out_planes + run.begin) * v.out_plane;
      call(0);
    }
  } else {
    grid.n = v.n;
    grid.in.image = v.in_planes * v.in_plane, grid.out.image = v.out_planes * v.out_plane;
    for (ptrdiff_t i = 0; i < run.count; ++i) {
      grid.out.data = out + (run.begin + i * run.step) * v.out_plane;
      call(i * run.in_step);
    }
  }
}

inline std::vector<PlaneRun> runs_of_fwd(const Conv3dShape& s) {
  return runs_of(s.o, 1, s.stride_d, [&](ptrdiff_t o) {
    PlaneTaps taps;
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      ptrdiff_t d = o * s.stride_d + t * s.dilation_d - s.front;
      if (d >= 0 && d < s.d) taps.push_back({t, d});
    }
    return taps;
  });
}

inline std::vector<PlaneRun> runs_of_bwd_data(const Conv3dShape& s) {
  return runs_of(s.d, s.stride_d, 1, [&](ptrdiff_t d) {
    PlaneTaps met;
    for (ptrdiff_t t = 0; t < s.t; ++t) {
      ptrdiff_t at = d + s.front - t * s.dilation_d;
      if (at >= 0 && at % s.stride_d == 0 && at / s.stride_d < s.o)
        met.push_back({t, at / s.stride_d});
    }
    return met;
  });
}

// The output planes [low, high) that meet the volume under filter plane t; input plane
// o stride_d + shift.
struct PlaneRange {
  ptrdiff_t shift, low, high;
  PlaneRange(const Conv3dShape& s, ptrdiff_t t) : shift(t * s.dilation_d - s.front) {
    low = shift >= 0 ? 0 : (-shift + s.stride_d - 1) / s.stride_d;
    high = shift >= s.d ? 0 : std::min(s.o, (s.d - 1 - shift) / s.stride_d + 1);
  }
  ptrdiff_t count() const { return std::max<ptrdiff_t>(high - low, 0); }
};

}  // namespace striate
