// SPDX-License-Identifier: Apache-2.0
#include "launch.h"

#include <csetjmp>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "block.h"
#include "shared_memory.h"

namespace shim {
namespace {

// A copy by cp.async: what is to be, once its thread has waited for its group.
struct Copy {
  int offset, bytes;
  unsigned char data[16];
};
struct Copies {
  std::deque<std::vector<Copy>> groups;  // committed
  std::vector<Copy> open;
};

struct Kernel {
  Body body;
  std::vector<size_t> parameters;
};
std::map<std::string, Kernel>& kernels() {
  static std::map<std::string, Kernel> all;
  return all;
}

std::jmp_buf failed;
std::string message;
const char* kernel_name;
const GlobalMemory* memory;
std::vector<Copies> copies;  // by thread

void on_fault(int, siginfo_t* info, void*) { memory->explain_fault(info->si_addr); }

// While one lives, a fault is an error of the launch.
class Faults {
 public:
  Faults() {
    static char stack[64 << 10];
    stack_t alternative{stack, 0, sizeof stack};
    sigaltstack(&alternative, &old_stack_);
    struct sigaction action{};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigaction(SIGSEGV, &action, &old_);
  }
  ~Faults() {
    sigaction(SIGSEGV, &old_, nullptr);
    sigaltstack(&old_stack_, nullptr);
  }

 private:
  struct sigaction old_;
  stack_t old_stack_;
};

void run_grid(Body body, void** arguments, ShimLaunch& launch) {
  Block& b = block();
  const unsigned* grid = launch.grid;
  b.grid = {grid[0], grid[1], grid[2]};
  b.size = {launch.block[0], launch.block[1], launch.block[2]};
  const unsigned count = grid[0] * grid[1] * grid[2];
  for (unsigned k = 0; k < count; ++k) {
    const unsigned i = launch.reversed ? count - 1 - k : k;
    b.index = {i % grid[0], i / grid[0] % grid[1], i / (grid[0] * grid[1])};
    shared_memory().begin_block();
    copies.assign(b.size.x * b.size.y * b.size.z, {});
    struct Call {
      Body body;
      void** arguments;
    } call{body, arguments};
    b.run([](void* c) { static_cast<Call*>(c)->body(static_cast<Call*>(c)->arguments); }, &call,
          launch.reversed);
  }
}

}  // namespace

bool add_kernel(const char* name, Body body, std::vector<size_t> parameters) {
  return kernels().emplace(name, Kernel{body, std::move(parameters)}).second;
}

const GlobalMemory& global_memory() { return *memory; }

void fail(const char* format, ...) {
  char text[400];
  va_list values;
  va_start(values, format);
  std::vsnprintf(text, sizeof text, format, values);
  va_end(values);
  const Block& b = block();
  message = std::string(kernel_name) + ", block (" + std::to_string(b.index.x) + ", " +
            std::to_string(b.index.y) + ", " + std::to_string(b.index.z) + ")";
  if (b.running) message += ", thread " + std::to_string(b.running->number);
  message += std::string(": ") + text;
  _longjmp(failed, 1);
}

void GlobalMemory::check(const void* pointer, size_t bytes, size_t alignment,
                         const char* what) const {
  const char* p = static_cast<const char*>(pointer);
  if (size_t(p) % alignment) fail("%s at %p: not a multiple of %zu", what, pointer, alignment);
  for (int i = 0; i < count_; ++i) {
    const Buffer& b = buffers_[i];
    if (p >= b.begin && p + bytes <= b.begin + b.bytes) return;
  }
  fail("%s of %zu bytes outside every buffer", what, bytes);
}

void GlobalMemory::explain_fault(const void* pointer) const {
  const char* p = static_cast<const char*>(pointer);
  for (int i = 0; i < count_; ++i) {
    const long long past = p - (buffers_[i].begin + buffers_[i].bytes);
    const long long before = buffers_[i].begin - p;
    if (past >= 0 && past < 4096) fail("access %lld bytes past the end of buffer %d", past, i);
    if (before > 0 && before <= 4096) fail("access %lld bytes before buffer %d", before, i);
  }
  fail("access to %p, which is no memory", pointer);
}

void copy_async(int shared_offset, int bytes, const void* from, int valid_bytes) {
  if (valid_bytes > 0) memory->check(from, valid_bytes, bytes, "cp.async");
  shared_memory().begin_async(shared_offset, bytes);
  Copy copy{shared_offset, bytes, {}};
  if (valid_bytes > 0) std::memcpy(copy.data, from, valid_bytes);
  copies[self().number].open.push_back(copy);
}

void copy_commit() {
  Copies& mine = copies[self().number];
  mine.groups.push_back(mine.open);
  mine.open.clear();
}

void copy_wait(int groups_left) {
  auto& groups = copies[self().number].groups;
  for (; int(groups.size()) > groups_left; groups.pop_front())
    for (const Copy& c : groups.front()) shared_memory().end_async(c.offset, c.bytes, c.data);
}

}  // namespace shim

const char* shim_launch(const char* kernel, void** arguments, ShimLaunch* launch) {
  using namespace shim;
  const auto found = kernels().find(kernel);
  if (found == kernels().end()) return (message = std::string("no kernel ") + kernel).c_str();
  const GlobalMemory here(launch->buffers, launch->buffer_count);
  kernel_name = kernel, memory = &here;
  Faults faults;
  block().running = nullptr;
  shared_memory().begin_launch(launch->dynamic_shared);
  if (_setjmp(failed)) return message.c_str();
  run_grid(found->second.body, arguments, *launch);
  launch->shared_bytes = shared_memory().bytes();
  launch->wavefronts = shared_memory().counts.wavefronts;
  launch->ideal_wavefronts = shared_memory().counts.ideal;
  return nullptr;
}

size_t shim_parameter(const char* kernel, size_t index) {
  const auto found = shim::kernels().find(kernel);
  if (found == shim::kernels().end()) return 0;
  const std::vector<size_t>& sizes = found->second.parameters;
  return index < sizes.size() ? sizes[index] : 0;
}
