// SPDX-License-Identifier: Apache-2.0
// What this process runs on and may use: ISA, kernel rows, threads, memory pool.
#include <pybind11/stl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <algorithm>

#include <memory>

#include "bindings/array.h"
#include "core/cache_folder.h"
#include "core/caches.h"
#include "core/check.h"
#include "core/isa.h"
#include "core/memory.h"
#include "core/precision.h"
#include "core/threads.h"

namespace striate {
namespace {

py::list rows() {
  py::list list;
  for (const TableBase* table : TableBase::all()) {
    for (size_t i = 0; i < table->size(); ++i) {
      const Row& r = table->row(i);
      py::dict row;
      row["op"] = r.op;
      row["kind"] = r.kind;
      row["name"] = r.name;
      row["dtype"] = dtype_name(r.dtype);
      row["isa"] = isa_name(r.isa);
      row["why_not"] = isa_why_not(r.isa);
      list.append(row);
    }
  }
  return list;
}

// with pin_rows(["gemm_f32_avx2_6x16"]): … (PinRows, as a context manager)
class Pin {
 public:
  explicit Pin(std::vector<std::string> names) : names_(std::move(names)) {}
  void enter() {
    if (pin_) throw std::runtime_error("pin_rows: entered already; make another one");
    pin_ = std::make_unique<PinRows>(names_);
  }
  void exit(const py::args&) { pin_.reset(); }

 private:
  std::vector<std::string> names_;
  std::unique_ptr<PinRows> pin_;
};

void precision_binding(py::handle precision) {
  if (!py::isinstance<py::str>(precision))
    throw TypeMismatch(
        "set_float32_precision: precision: expected 'highest', 'high' or 'medium', got " +
        std::string(py::repr(precision)));
  set_float32_precision(precision_of(precision.cast<std::string>()));
}

py::dict memory_stats() {
  PoolStats s = pool_stats();
  py::dict d;
  d["in_use"] = s.in_use;
  d["cached"] = s.cached;
  d["peak"] = s.peak;
  d["hits"] = s.hits;
  d["misses"] = s.misses;
  return d;
}

// Python runs its signal handlers on the main thread alone; that of SIGINT raises.
void check_signals() {
  if (syscall(SYS_gettid) != getpid()) return;
  py::gil_scoped_acquire hold;
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
}

void threads_binding(py::handle count) {
  if (PyBool_Check(count.ptr()) || !PyIndex_Check(count.ptr()))
    throw TypeMismatch("set_num_threads: count: expected an integer, got " +
                       std::string(py::repr(count)));
  const Py_ssize_t n = PyNumber_AsSsize_t(count.ptr(), nullptr);  // clipped to what fits
  set_num_threads(int(std::clamp<Py_ssize_t>(n, -1, 1 << 20)));
}

}  // namespace

void bind_runtime(py::module_& m) {
  load_numpy();
  set_interrupt_check(&check_signals);
  m.def("isa", [] { return isa_name(isa_cap()); }, "The ISA family in use.");
  m.def(
      "isas",
      [] {
        py::dict d;
        for (int i = 0; i < kIsaCount; ++i) d[isa_name(Isa(i))] = isa_why_not(Isa(i));
        return d;
      },
      "Every ISA family and why it can't be used (empty if it can).");
  m.def("cpu_name", &cpu_name, "The processor's own name.");
  m.def("l2_bytes", &l2_bytes, "Bytes of a core's second cache, by which work is cut.");
  m.def("cache_folder", &cache_folder,
        "Where records and compiled kernels are kept; '' for a user without a home.");
  m.def("rows", &rows, "Every row of every kernel and method table.");
  py::class_<Pin>(m, "pin_rows", "with pin_rows(names): this thread's drivers use these rows.")
      .def(py::init<std::vector<std::string>>(), py::arg("names"))
      .def("__enter__", &Pin::enter)
      .def("__exit__", &Pin::exit);
  m.def("num_threads", &num_threads, "How many threads a kernel may use.");
  m.def(
      "float32_precision", [] { return precision_name(float32_precision()); },
      "'highest', 'high' or 'medium'.");
  m.def(
      "set_float32_precision", &precision_binding, py::arg("precision"),
      "How closely float32 has to be computed: 'highest' keeps to direct sums and Winograd F(2x2); "
      "'high', the default, also takes F(4x4); 'medium' is the same on the CPU.");
  m.def("set_num_threads", &threads_binding, py::arg("count"),
        "How many threads a kernel may use, 1 to 1024. Results don't depend on it.");
  m.def("memory_stats", &memory_stats, "Bytes in use, cached, peak; hits and misses of the pool.");
  m.def("memory_reset_peak", &pool_reset_peak);
  m.def("memory_trim", &pool_trim, "Gives cached blocks back to the system.");
  m.def("memory_set_cap", &pool_set_cap, py::arg("bytes"), "Most bytes kept for reuse.");
  m.def("memory_fail_at", &pool_fail_at, py::arg("n"),
        "Makes the n-th request from now on fail, for tests; returns how many were left.");
}

}  // namespace striate
