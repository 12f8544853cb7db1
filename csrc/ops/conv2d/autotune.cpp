// SPDX-License-Identifier: Apache-2.0
// Records of what measured fastest. A line of the file: processor, instruction set, problem, row,
// microseconds, between tabs. A line is written at once and whole, so that processes may share a
// file; lines that are none are passed over, and of two for a problem the later one holds.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <limits>
#include <map>
#include <mutex>
#include <sstream>
#include <stdexcept>

#include "core/isa.h"
#include "core/precision.h"
#include "ops/conv2d/choice.h"

namespace striate {
namespace {

constexpr int kRuns = 3;  // of each candidate, of which the quickest counts

std::atomic<bool> enabled{false};
std::mutex guard;
std::map<std::string, std::string> records;  // row by problem
std::string path;

std::string machine() { return cpu_name() + "\t" + isa_name(isa_cap()); }

std::string problem_text(const ConvShape& s, ConvPass pass, Dtype dtype) {
  static const char* const passes[] = {"fwd", "bwd_data", "bwd_weight"};
  std::ostringstream text;
  text << "conv2d_" << passes[int(pass)] << " " << dtype_name(dtype);
  for (ptrdiff_t v : {s.n, s.c, s.h, s.w, s.k, s.r, s.s, s.p, s.q, s.stride_h, s.stride_w, s.top,
                      s.left, s.dilation_h, s.dilation_w, s.groups})
    text << " " << v;
  if (float32_precision() == Precision::highest) text << " highest";
  return text.str();
}

void read_file(const std::string& file) {
  std::ifstream in(file);
  const std::string ours = machine() + "\t";
  for (std::string line; std::getline(in, line);) {
    if (line.compare(0, ours.size(), ours) != 0) continue;
    const size_t problem = ours.size(), row = line.find('\t', problem);
    const size_t time = row == std::string::npos ? row : line.find('\t', row + 1);
    if (time == std::string::npos) continue;
    records[line.substr(problem, row - problem)] = line.substr(row + 1, time - row - 1);
  }
}

void keep(const std::string& problem, const std::string& row, double seconds) {
  const std::lock_guard<std::mutex> lock(guard);
  records[problem] = row;
  if (path.empty()) return;
  std::ostringstream line;
  line << machine() << "\t" << problem << "\t" << row << "\t" << seconds * 1e6 << "\n";
  std::ofstream(path, std::ios::app) << line.str() << std::flush;
}

}  // namespace

void set_conv_autotune(bool on, const std::string& file) {
  const std::lock_guard<std::mutex> lock(guard);
  records.clear();
  path.clear();
  if (on && !file.empty()) {
    if (!std::ofstream(file, std::ios::app))
      throw std::runtime_error("set_autotune: file: can't write " + file);
    read_file(file);
    path = file;
  }
  enabled.store(on, std::memory_order_relaxed);
}

bool conv_autotune() { return enabled.load(std::memory_order_relaxed); }

std::string conv_record(const ConvShape& s, ConvPass pass, Dtype dtype) {
  if (!conv_autotune()) return "";
  const std::string problem = problem_text(s, pass, dtype);
  const std::lock_guard<std::mutex> lock(guard);
  const auto found = records.find(problem);
  return found == records.end() ? "" : found->second;
}

void conv_run(const ConvShape& s, ConvPass pass, Dtype dtype,
              void (*run)(const void* context, ConvMethod method), const void* context) {
  auto known = [&] {
    const std::string record = conv_record(s, pass, dtype);
    if (record.empty()) return false;
    for (const ConvCandidate& c : conv_candidates(s, pass, dtype))
      if (record == c.row->name) return true;
    return false;  // of another version
  };
  if (!conv_autotune() || PinRows::innermost() != nullptr || known())
    return run(context, conv_choice(s, pass, dtype).method);
  const std::vector<ConvCandidate> list = conv_candidates(s, pass, dtype);
  const ConvCandidate* best = &list.front();
  double least = std::numeric_limits<double>::infinity(), cheapest = least;
  for (const ConvCandidate& c : list) cheapest = std::min(cheapest, c.cost);
  for (const ConvCandidate& c : list) {
    // Ten times the cost of the cheapest is beyond any error of the model.
    if (c.cost > 10 * cheapest) continue;
    for (int i = 0; i < kRuns; ++i) {
      const auto begin = std::chrono::steady_clock::now();
      run(context, c.row->method);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      if (took.count() < least) least = took.count(), best = &c;
    }
  }
  run(context, best->row->method);
  keep(problem_text(s, pass, dtype), best->row->name, least);
}

}  // namespace striate
