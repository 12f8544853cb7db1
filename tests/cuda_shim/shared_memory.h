// SPDX-License-Identifier: Apache-2.0
// The shared memory of a block, seen byte by byte.
//
// Races: two accesses to a byte by different threads, one of them a write, are ordered by a barrier
// of the block between them, or by a __syncwarp if both are of one warp; else they are an error.
// What nobody wrote is poison (signalling NaN), and reading it is an error. The target of a
// cp.async counts as written from when it is issued, but the data come when its thread waits for
// the group; an access in between is an error.
//
// Banks: there are 32, of 4 bytes. The lanes' accesses between two meetings are matched by their
// order, which is exact where lanes do not diverge. An access of 4 bytes a lane goes in one
// wavefront if no bank is asked for two words, of 8 bytes in two (half a warp each), of 16 in four.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "block.h"

namespace shim {

struct BankCounts {
  long long wavefronts, ideal;
};

class SharedMemory {
 public:
  BankCounts counts{};

  void begin_launch(int dynamic_bytes);
  void begin_block();
  int dynamic_bytes() const { return dynamic_bytes_; }
  int bytes() const { return int(data_.size()); }
  int static_array(const void* key, int bytes);  // its offset

  void read(int offset, int bytes, void* to);
  void write(int offset, int bytes, const void* from);
  void begin_async(int offset, int bytes);
  void end_async(int offset, int bytes, const void* from);

  void end_of_instructions(int warp, unsigned lanes);
  void end_of_phase();

 private:
  enum class Content : uint8_t { none, pending, written };
  struct Cell {
    uint32_t write_barriers, write_syncs, read_barriers, read_syncs;
    uint16_t writer, reader;
    Content content;
    bool several_readers, several_warps;
  };
  struct Access {
    int offset, bytes;
    bool writes;
  };
  void check_place(int offset, int bytes, const char* what);
  void log(int offset, int bytes, bool writes);
  void note_read(Cell& cell, int offset);
  void check_write(const Cell& cell, int offset);
  void note_write(Cell& cell, Content content);
  void count(const std::vector<Access>& lanes_by_number);

  int dynamic_bytes_ = 0;
  std::map<const void*, int> arrays_;
  std::vector<unsigned char> data_;
  std::vector<Cell> cells_;
  std::vector<std::vector<Access>> logs_;  // by thread
};

SharedMemory& shared_memory();

}  // namespace shim
