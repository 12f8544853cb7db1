// SPDX-License-Identifier: Apache-2.0
// The instruction-set families that kernels are written for, and what this process may use.
#pragma once
#include <string>

namespace striate {

// Ordered: a later family is preferred where both can run, and has every instruction of the earlier
// ones. Tables have rows of avx512bf16 for products of bfloat16 alone; elsewhere those of avx512
// run.
enum class Isa { scalar, avx2, avx512, avx512bf16 };
constexpr int kIsaCount = 4;

const char* isa_name(Isa isa);

// The CPU has every instruction of the family and the OS saves its registers (CPUID and XGETBV,
// read once).
bool isa_supported(Isa isa);

// The best family in use: the best supported one, or what STRIATE_ISA caps it to. Throws
// std::invalid_argument if STRIATE_ISA is no family's name or names one that the CPU lacks.
Isa isa_cap();

// Empty if kernels of this family may run in this process, else the reason why not.
std::string isa_why_not(Isa isa);

// Whether vdpbf16ps is quicker than widening to float32 and multiplying there. It is where it is
// the chip's own way to multiply bfloat16; chips with AMX do that in tiles, and issue one vdpbf16ps
// in two cycles (Emerald Rapids: 75 GF/s against 157 of float32's multiply-adds).
bool bf16_dot_pays();

// The processor's own name for itself, for reports.
std::string cpu_name();

// Flushes denormals to zero on this thread while it lives, then restores the caller's mode.
// Every driver holds one on every thread that runs its kernels, so results are alike everywhere.
class FlushDenormals {
 public:
  FlushDenormals();
  ~FlushDenormals();
  FlushDenormals(const FlushDenormals&) = delete;
  FlushDenormals& operator=(const FlushDenormals&) = delete;

 private:
  unsigned saved_;
};

}  // namespace striate
