// SPDX-License-Identifier: Apache-2.0
#include "core/threads.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>

#include "core/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define STRIATE_PAUSE() _mm_pause()
#else
#define STRIATE_PAUSE() ((void)0)
#endif

namespace striate {
namespace {

thread_local bool in_region = false;

// How many CPUs the cgroup's quota grants, rounded up; 0 if it sets none.
int cgroup_cpus() {
  double quota = 0, period = 0;
  if (FILE* f = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    if (std::fscanf(f, "%lf %lf", &quota, &period) != 2) quota = 0;
    std::fclose(f);
  } else if (FILE* q = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
    if (std::fscanf(q, "%lf", &quota) != 1) quota = 0;
    std::fclose(q);
    if (FILE* p = std::fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (std::fscanf(p, "%lf", &period) != 1) period = 0;
      std::fclose(p);
    }
  }
  if (quota <= 0 || period <= 0) return 0;
  int cpus = int((quota + period - 1) / period);
  return cpus < 1 ? 1 : cpus;
}

int from_environment(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == 0) return 0;
  char* end = nullptr;
  long value = std::strtol(text, &end, 10);
  // OMP_NUM_THREADS may be a list, one number a nesting level; the first is ours.
  return (*end == 0 || *end == ',') && value >= 1 && value <= 1024 ? int(value) : 0;
}

int default_threads() {
  if (int wanted = from_environment("STRIATE_NUM_THREADS")) return wanted;
  const char* ours = std::getenv("STRIATE_NUM_THREADS");
  if (ours != nullptr && *ours != 0)
    throw std::invalid_argument(std::string("STRIATE_NUM_THREADS: expected 1 to 1024, got '") +
                                ours + "'");
  if (int wanted = from_environment("OMP_NUM_THREADS")) return wanted;
  cpu_set_t set;
  int cpus = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : int(std::thread::hardware_concurrency());
  int quota = cgroup_cpus();
  if (quota > 0 && quota < cpus) cpus = quota;
  return cpus < 1 ? 1 : cpus;
}

std::atomic<int>& wanted_threads() {
  static std::atomic<int> count{default_threads()};
  return count;
}

std::atomic<void (*)()> interrupt_check{nullptr};

// Whether this thread has not asked for a tenth of a second.
bool interrupt_due() {
  using Clock = std::chrono::steady_clock;
  thread_local Clock::time_point due;
  Clock::time_point now = Clock::now();
  if (now < due) return false;
  due = now + std::chrono::milliseconds(100);
  return true;
}

struct Job {
  Job(detail::Body body, void* context, ptrdiff_t parts)
      : body(body), context(context), parts(parts) {}
  detail::Body body;
  void* context;
  ptrdiff_t parts;
  std::atomic<ptrdiff_t> next{0};
  std::mutex mutex;
  std::exception_ptr error;

  void work() {
    std::optional<FlushDenormals> flush(std::in_place);
    for (;;) {
      ptrdiff_t part = next.fetch_add(1, std::memory_order_relaxed);
      if (part >= parts) return;
      try {
        body(context, part);
        if (interrupt_due()) {
          flush.reset();  // the check may run code of the caller's
          if (auto check = interrupt_check.load(std::memory_order_relaxed)) check();
          flush.emplace();
        }
      } catch (...) {
        std::lock_guard<std::mutex> hold(mutex);
        if (!error) error = std::current_exception();
        next.store(parts, std::memory_order_relaxed);
      }
    }
  }
};

class Pool {
 public:
  // Runs the job on the caller and on up to `helpers` workers. False if another caller has the
  // pool.
  bool run(Job& job, int helpers) {
    std::unique_lock<std::mutex> mine(owner_, std::try_to_lock);
    if (!mine) return false;
    grow(helpers);
    if (helpers > int(workers_)) helpers = int(workers_);
    pending_.store(helpers, std::memory_order_relaxed);
    job_ = &job;
    {
      std::lock_guard<std::mutex> hold(mutex_);
      uint64_t call = ++calls_;
      signal_.store(call << 16 | uint64_t(helpers), std::memory_order_seq_cst);
    }
    if (sleepers_.load(std::memory_order_seq_cst) > 0) wake_.notify_all();
    job.work();
    while (pending_.load(std::memory_order_acquire) > 0) STRIATE_PAUSE();
    return true;
  }

 private:
  void grow(int count) {
    while (int(workers_) < count) {
      int index = int(workers_);
      uint64_t seen = signal_.load();
      try {
        std::thread([this, index, seen] { loop(index, seen); }).detach();
      } catch (const std::system_error&) {
        return;  // no more threads to be had: go on with those there are
      }
      ++workers_;
    }
  }

  void loop(int index, uint64_t seen) {
    in_region = true;
    for (;;) {
      seen = wait_past(seen);
      if (index >= int(seen & 0xffff)) continue;
      job_->work();
      pending_.fetch_sub(1, std::memory_order_release);
    }
  }

  uint64_t wait_past(uint64_t seen) {
    auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(20);
    do {
      for (int i = 0; i < 64; ++i) {
        uint64_t now = signal_.load(std::memory_order_acquire);
        if (now != seen) return now;
        STRIATE_PAUSE();
      }
    } while (std::chrono::steady_clock::now() < until);
    std::unique_lock<std::mutex> hold(mutex_);
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    wake_.wait(hold, [&] { return signal_.load(std::memory_order_acquire) != seen; });
    sleepers_.fetch_sub(1, std::memory_order_seq_cst);
    return signal_.load(std::memory_order_acquire);
  }

  std::mutex owner_, mutex_;
  std::condition_variable wake_;
  // Number of the call and how many workers it wants, in one word: a worker that the call does not
  // want must not read a later call's count.
  std::atomic<uint64_t> signal_{0};
  std::atomic<int> sleepers_{0}, pending_{0};
  Job* job_ = nullptr;
  uint64_t calls_ = 0;
  int workers_ = 0;
};

// Leaked, since workers are never joined; replaced in a forked child, whose workers are gone.
Pool*& pool() {
  static Pool* instance = [] {
    pthread_atfork(nullptr, nullptr, [] {
      pool() = new Pool;
      in_region = false;
    });
    return new Pool;
  }();
  return instance;
}

}  // namespace

int num_threads() { return wanted_threads().load(std::memory_order_relaxed); }

int threads_here() { return in_region ? 1 : num_threads(); }

void set_num_threads(int count) {
  if (count < 1 || count > 1024)
    throw std::invalid_argument("set_num_threads: count: expected 1 to 1024, got " +
                                std::to_string(count));
  wanted_threads().store(count, std::memory_order_relaxed);
}

void set_interrupt_check(void (*check)()) {
  interrupt_check.store(check, std::memory_order_relaxed);
}

void detail::run_parts(ptrdiff_t parts, Body body, void* context) {
  if (parts <= 0) return;
  int helpers = num_threads() - 1;
  if (helpers > parts - 1) helpers = int(parts - 1);
  Job job(body, context, parts);
  if (helpers <= 0 || in_region) {
    job.work();
  } else {
    in_region = true;
    if (!pool()->run(job, helpers)) job.work();
    in_region = false;
  }
  if (job.error) std::rethrow_exception(job.error);
}

}  // namespace striate
