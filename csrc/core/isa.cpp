// SPDX-License-Identifier: Apache-2.0
#include "core/isa.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>

#if defined(__x86_64__)
#include <cpuid.h>
#include <xmmintrin.h>
#endif

namespace striate {
namespace {

constexpr const char* kNames[kIsaCount] = {"scalar", "avx2", "avx512", "avx512bf16"};

struct Cpu {
  bool has[kIsaCount] = {true, false, false, false};
  bool amx_bf16 = false;
  std::string name = "unknown CPU";
};

#if defined(__x86_64__)
uint64_t xgetbv0() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t(high) << 32) | low;
}

bool bit(uint32_t word, int index) { return (word >> index) & 1; }

std::string brand() {
  uint32_t words[12];
  uint32_t top = __get_cpuid_max(0x80000000u, nullptr);
  if (top < 0x80000004u) return "unknown x86-64 CPU";
  for (uint32_t leaf = 0; leaf < 3; ++leaf) {
    uint32_t* w = words + 4 * leaf;
    __get_cpuid(0x80000002u + leaf, &w[0], &w[1], &w[2], &w[3]);
  }
  char text[49];
  std::memcpy(text, words, 48);
  text[48] = 0;
  std::string name(text);
  size_t first = name.find_first_not_of(' ');
  size_t last = name.find_last_not_of(' ');
  return first == std::string::npos ? "unknown x86-64 CPU" : name.substr(first, last - first + 1);
}

Cpu probe() {
  Cpu cpu;
  cpu.name = brand();
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return cpu;
  bool osxsave = bit(c, 27), avx = bit(c, 28), fma = bit(c, 12);
  if (!osxsave || !avx) return cpu;
  uint64_t saved = xgetbv0();
  bool ymm = (saved & 0x6) == 0x6, zmm = (saved & 0xe6) == 0xe6;
  uint32_t b7 = 0;
  if (!__get_cpuid_count(7, 0, &a, &b7, &c, &d)) return cpu;
  cpu.has[int(Isa::avx2)] = ymm && fma && bit(b7, 5);
  bool avx512 = bit(b7, 16) && bit(b7, 17) && bit(b7, 30) && bit(b7, 31);  // F DQ BW VL
  cpu.has[int(Isa::avx512)] = zmm && cpu.has[int(Isa::avx2)] && avx512;
  cpu.amx_bf16 = bit(d, 22);
  uint32_t most = a;  // sub-leaves of leaf 7
  if (most < 1 || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return cpu;
  cpu.has[int(Isa::avx512bf16)] = cpu.has[int(Isa::avx512)] && bit(a, 5);
  return cpu;
}
#else
Cpu probe() { return {}; }
#endif

const Cpu& cpu() {
  static const Cpu probed = probe();
  return probed;
}

Isa best_supported() {
  Isa best = Isa::scalar;
  for (int i = 0; i < kIsaCount; ++i)
    if (cpu().has[i]) best = Isa(i);
  return best;
}

Isa read_cap() {
  const char* wanted = std::getenv("STRIATE_ISA");
  if (wanted == nullptr || *wanted == 0) return best_supported();
  for (int i = 0; i < kIsaCount; ++i) {
    if (std::strcmp(wanted, kNames[i]) != 0) continue;
    if (cpu().has[i]) return Isa(i);
    throw std::invalid_argument(std::string("STRIATE_ISA: this CPU (") + cpu().name + ") has no " +
                                wanted + "; the best it has is " + isa_name(best_supported()));
  }
  throw std::invalid_argument(
      std::string("STRIATE_ISA: expected scalar, avx2, avx512 or avx512bf16, got '") + wanted +
      "'");
}

}  // namespace

const char* isa_name(Isa isa) { return kNames[int(isa)]; }

bool isa_supported(Isa isa) { return cpu().has[int(isa)]; }

Isa isa_cap() {
  static const Isa cap = read_cap();
  return cap;
}

std::string isa_why_not(Isa isa) {
  if (!isa_supported(isa)) return std::string("the CPU lacks ") + isa_name(isa);
  if (int(isa) > int(isa_cap())) return std::string("STRIATE_ISA=") + isa_name(isa_cap());
  return "";
}

bool bf16_dot_pays() { return !cpu().amx_bf16; }

std::string cpu_name() { return cpu().name; }

#if defined(__x86_64__)
FlushDenormals::FlushDenormals() : saved_(_mm_getcsr()) {
  if ((saved_ & 0x8040) != 0x8040) _mm_setcsr(saved_ | 0x8040);  // FTZ, DAZ
}
FlushDenormals::~FlushDenormals() {
  if ((saved_ & 0x8040) != 0x8040) _mm_setcsr(saved_);
}
#else
FlushDenormals::FlushDenormals() : saved_(0) {}
FlushDenormals::~FlushDenormals() {}
#endif

}  // namespace striate
