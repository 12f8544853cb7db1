// SPDX-License-Identifier: Apache-2.0
// The instruction-set families that kernels are written for, and what this process may use.
#pragma once
#include <string>

namespace striate {

// Ordered: a later family is preferred where both can run.
enum class Isa { scalar, avx2, avx512 };
constexpr int kIsaCount = 3;

const char* isa_name(Isa isa);

// The CPU has every instruction of the family and the OS saves its registers (CPUID and XGETBV,
// read once).
bool isa_supported(Isa isa);

// The best family in use: the best supported one, or what STRIATE_ISA caps it to. Throws
// std::invalid_argument if STRIATE_ISA is no family's name or names one that the CPU lacks.
Isa isa_cap();

// Empty if kernels of this family may run in this process, else the reason why not.
std::string isa_why_not(Isa isa);

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
