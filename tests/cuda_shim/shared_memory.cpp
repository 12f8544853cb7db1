// SPDX-License-Identifier: Apache-2.0
#include "shared_memory.h"

#include <algorithm>
#include <cstring>

namespace shim {
namespace {

constexpr int kMost = 99 << 10;  // of a block, on the smallest chips from compute capability 8.0 on
constexpr int kGap = 16;         // between arrays, so that one's end is not another's beginning

// Whether what thread `before` did is ordered with what the running thread does now.
bool ordered(int before, uint32_t barriers, uint32_t syncs) {
  const Thread& now = self();
  if (before == now.number || barriers != block().barriers) return true;
  return before / kWarp == now.warp() && syncs != block().warp_syncs[now.warp()];
}

}  // namespace

SharedMemory& shared_memory() {
  static SharedMemory one;
  return one;
}

void SharedMemory::begin_launch(int dynamic_bytes) {
  dynamic_bytes_ = dynamic_bytes;
  arrays_.clear();
  counts = {};
  data_.assign(dynamic_bytes, 0);
}

void SharedMemory::begin_block() {
  if (dynamic_bytes_ > kMost) fail("%d bytes of shared memory in a block", dynamic_bytes_);
  for (size_t i = 0; i < data_.size(); ++i) data_[i] = i % 2 ? 0x7f : 0xa0;
  cells_.assign(data_.size(), Cell{});
  logs_.assign(block().size.x * block().size.y * block().size.z, {});
}

int SharedMemory::static_array(const void* key, int bytes) {
  auto found = arrays_.find(key);
  if (found != arrays_.end()) return found->second;
  const int offset = (int(data_.size()) + kGap + 15) / 16 * 16;
  if (offset + bytes > kMost) fail("%d bytes of shared memory in a block", offset + bytes);
  arrays_[key] = offset;
  for (int i = int(data_.size()); i < offset + bytes; ++i) data_.push_back(i % 2 ? 0x7f : 0xa0);
  cells_.resize(data_.size(), Cell{});
  return offset;
}

void SharedMemory::check_place(int offset, int bytes, const char* what) {
  if (offset < 0 || offset + bytes > int(data_.size()))
    fail("%s of shared memory at byte %d, which has %zu", what, offset, data_.size());
  if (offset % bytes) fail("%s of %d bytes of shared memory at byte %d", what, bytes, offset);
}

void SharedMemory::note_read(Cell& cell, int offset) {
  if (cell.content == Content::none) fail("read of shared byte %d, which nobody wrote", offset);
  if (cell.content == Content::pending)
    fail("read of shared byte %d before the wait for thread %d's cp.async", offset, cell.writer);
  if (!ordered(cell.writer, cell.write_barriers, cell.write_syncs))
    fail("race: read of shared byte %d, written by thread %d without a barrier between", offset,
         cell.writer);
  const int thread = self().number, warp = self().warp();
  const bool first = cell.read_barriers != block().barriers;
  const bool same_warp = !first && cell.reader / kWarp == warp;
  if (first) cell.several_warps = false;
  if (!first && !same_warp) cell.several_warps = true;
  if (first || (same_warp && cell.read_syncs != block().warp_syncs[warp]))
    cell.several_readers = false;
  else if (cell.reader != thread)
    cell.several_readers = true;
  cell.reader = uint16_t(thread);
  cell.read_barriers = block().barriers, cell.read_syncs = block().warp_syncs[warp];
}

void SharedMemory::check_write(const Cell& cell, int offset) {
  if (cell.content == Content::pending)
    fail("write of shared byte %d before the wait for thread %d's cp.async", offset, cell.writer);
  if (cell.content == Content::written &&
      !ordered(cell.writer, cell.write_barriers, cell.write_syncs))
    fail("race: write of shared byte %d, written by thread %d without a barrier between", offset,
         cell.writer);
  if (cell.read_barriers != block().barriers) return;
  const bool in_warp =
      cell.reader / kWarp == self().warp() && cell.read_syncs != block().warp_syncs[self().warp()];
  const bool fine = cell.several_warps     ? false
                    : cell.several_readers ? in_warp
                                           : in_warp || cell.reader == self().number;
  if (!fine)
    fail("race: write of shared byte %d, read by thread %d without a barrier between", offset,
         cell.reader);
}

void SharedMemory::note_write(Cell& cell, Content content) {
  cell.content = content;
  cell.writer = uint16_t(self().number);
  cell.write_barriers = block().barriers;
  cell.write_syncs = block().warp_syncs[self().warp()];
}

void SharedMemory::read(int offset, int bytes, void* to) {
  check_place(offset, bytes, "read");
  for (int i = offset; i < offset + bytes; ++i) note_read(cells_[i], i);
  std::memcpy(to, &data_[offset], bytes);
  log(offset, bytes, false);
}

void SharedMemory::write(int offset, int bytes, const void* from) {
  check_place(offset, bytes, "write");
  for (int i = offset; i < offset + bytes; ++i) {
    check_write(cells_[i], i);
    note_write(cells_[i], Content::written);
  }
  std::memcpy(&data_[offset], from, bytes);
  log(offset, bytes, true);
}

void SharedMemory::begin_async(int offset, int bytes) {
  check_place(offset, bytes, "cp.async");
  for (int i = offset; i < offset + bytes; ++i) {
    check_write(cells_[i], i);
    note_write(cells_[i], Content::pending);
  }
  log(offset, bytes, true);
}

void SharedMemory::end_async(int offset, int bytes, const void* from) {
  for (int i = offset; i < offset + bytes; ++i) note_write(cells_[i], Content::written);
  std::memcpy(&data_[offset], from, bytes);
}

void SharedMemory::log(int offset, int bytes, bool writes) {
  logs_[self().number].push_back({offset, bytes, writes});
}

// One instruction; a lane without an access has 0 bytes.
void SharedMemory::count(const std::vector<Access>& lanes) {
  const int bytes =
      std::max_element(lanes.begin(), lanes.end(), [](const Access& a, const Access& b) {
        return a.bytes < b.bytes;
      })->bytes;
  const int group = kWarp * 4 / std::max(bytes, 4);
  for (int begin = 0; begin < kWarp; begin += group) {
    std::vector<int> words[32];  // by bank
    size_t most = 0;
    for (int lane = begin; lane < begin + group; ++lane)
      for (int at = 0; at < lanes[lane].bytes; at += 4) {
        const int word = (lanes[lane].offset + at) / 4;
        auto& bank = words[word % 32];
        if (std::find(bank.begin(), bank.end(), word) == bank.end()) bank.push_back(word);
        most = std::max(most, bank.size());
      }
    counts.wavefronts += (long long)most;
    counts.ideal += most > 0;
  }
}

void SharedMemory::end_of_instructions(int warp, unsigned mask) {
  size_t longest = 0;
  for (int lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1) longest = std::max(longest, logs_[warp * kWarp + lane].size());
  for (size_t i = 0; i < longest; ++i) {
    // Lanes that diverged may be at different instructions: each kind is one.
    std::vector<Access> rest(kWarp, Access{0, 0, false});
    for (int lane = 0; lane < kWarp; ++lane) {
      if (!(mask >> lane & 1)) continue;
      const auto& log = logs_[warp * kWarp + lane];
      if (i < log.size()) rest[lane] = log[i];
    }
    for (int lane = 0; lane < kWarp; ++lane) {
      if (!rest[lane].bytes) continue;
      const Access kind = rest[lane];
      std::vector<Access> now(kWarp, Access{0, 0, false});
      for (int other = lane; other < kWarp; ++other)
        if (rest[other].bytes == kind.bytes && rest[other].writes == kind.writes) {
          now[other] = rest[other];
          rest[other].bytes = 0;
        }
      count(now);
    }
  }
  for (int lane = 0; lane < kWarp; ++lane)
    if (mask >> lane & 1) logs_[warp * kWarp + lane].clear();
}

void SharedMemory::end_of_phase() {
  const int threads = int(logs_.size());
  for (int warp = 0; warp * kWarp < threads; ++warp) {
    const int lanes = std::min(threads - warp * kWarp, kWarp);
    end_of_instructions(warp, lanes == kWarp ? 0xffffffffu : (1u << lanes) - 1);
  }
}

}  // namespace shim
