// SPDX-License-Identifier: Apache-2.0
// NumPy arrays in and out of the bindings, read straight from their struct: a call costs tens of
// nanoseconds instead of the hundreds of a converting argument.
//
// An operand is an exact, aligned, native-endian ndarray of float32 or float64 whose strides are
// multiples of the item. Anything else is refused with the argument's name.
#pragma once
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "core/indices.h"
#include "core/operand.h"

namespace striate {

namespace py = pybind11;

// Finds NumPy's functions; called once, at import.
void load_numpy();

// Where operands may lie: everywhere if the binding has kernels for GPUs (device_array.h).
enum class Places { cpu, any };

// `op` and `argument` name the place in errors.
Operand read(py::handle array, const char* op, const char* argument, Places places = Places::cpu);
// Also bfloat16, which only casts and products take.
Operand read_with_bf16(py::handle array, const char* op, const char* argument,
                       Places places = Places::cpu);
// Also a Python float or int, which becomes a rank-0 operand of `dtype`, kept in *scalar.
Operand read_or_scalar(py::handle value, Dtype dtype, double* scalar, const char* op,
                       const char* argument, Places places = Places::cpu);
bool is_scalar(py::handle value);
// A place that is written to: as read(), and writable.
Operand read_out(py::handle array, const char* op, const char* argument = "out",
                 Places places = Places::cpu);
// The array itself if it is in C order, else a copy that is.
py::object c_contiguous(py::handle array, const char* op, const char* argument);
// A read-only view of `array` repeated to `shape`: axes of size 1, and missing leading ones, get
// stride 0.
py::object broadcast_to(py::handle array, const ptrdiff_t* shape, int rank);
// A contiguous array of int64.
Indices read_indices(py::handle array, const char* op, const char* argument,
                     Places places = Places::cpu);

// A new array from the pool (small ones from NumPy's own cache). Uninitialised.
py::object make_array(Dtype dtype, const ptrdiff_t* shape, int rank, const ptrdiff_t* stride);
py::object make_array(Dtype dtype, const ptrdiff_t* shape, int rank);  // C order
// int64, C order; *data is its memory.
py::object make_indices(const ptrdiff_t* shape, int rank, int64_t** data);
// uint8, C order, from the pool: what an op keeps for its gradient. read_bytes() gives the memory
// of one of this shape back.
py::object make_bytes(const ptrdiff_t* shape, int rank);
const uint8_t* read_bytes(py::handle array, const char* op, const char* argument,
                          const ptrdiff_t* shape, int rank);

// The result of an op: `out` checked against dtype, shape and place if it is given, else a new
// array.
struct Result {
  py::object object;
  Operand operand;
};
Result result(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank,
              const ptrdiff_t* stride, int device = kCpu);
Result result(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank,
              int device = kCpu);
// Rank 3 to 5 in channels-last memory.
Result result_channels_last(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape,
                            int rank = 4, int device = kCpu);
// The shape and place of x and, where x is dense, its memory order; else C order.
Result result_like(const char* op, py::handle out, const Operand& x);

// Takes the GIL back for this thread; waits for the end of the process if there is no more GIL.
void restore_gil(PyThreadState* saved) noexcept;

// Lets other Python threads run while it lives, if the work is worth the switch: `nanoseconds` is
// an estimate.
class ReleaseGil {
 public:
  explicit ReleaseGil(double nanoseconds) {
    if (nanoseconds > 50e3) saved_ = PyEval_SaveThread();
  }
  ~ReleaseGil() {
    if (saved_) restore_gil(saved_);
  }
  ReleaseGil(const ReleaseGil&) = delete;
  ReleaseGil& operator=(const ReleaseGil&) = delete;

 private:
  PyThreadState* saved_ = nullptr;
};

}  // namespace striate
