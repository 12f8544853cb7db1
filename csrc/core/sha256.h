// SPDX-License-Identifier: Apache-2.0
// SHA-256 (FIPS 180-4), for names and checksums of cached files.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace striate {

class Sha256 {
 public:
  void add(const void* data, size_t bytes);
  // A string and its length, so that ("ab", "c") and ("a", "bc") differ.
  void add_text(const std::string& text);
  std::string hex();  // the digest in 64 digits; nothing may be added afterwards

 private:
  void block(const unsigned char* bytes);

  uint32_t state_[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned char held_[64];  // what does not fill a block yet
  size_t in_held_ = 0;
  uint64_t total_ = 0;
};

std::string sha256(const std::string& data);

}  // namespace striate
