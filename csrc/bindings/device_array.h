// SPDX-License-Identifier: Apache-2.0
// Arrays on GPUs, in and out of the bindings. They are CuPy's, which this library doesn't load:
// striate/cupy_arrays.py, where the first of them is made, says what type they have, and how to
// make one and to find the stream that work is to go to.
//
// A binding that has CUDA kernels reads its operands with Places::any. Where they are on a GPU it
// makes the result there, and launches in the place of calling the driver:
//
//   if (y.operand.device != kCpu)
//     on_stream(y.operand.device, [&](const cuda::Stream& s) { scale_launch(s, x, y.operand); });
#pragma once
#include "bindings/array.h"
#include "cuda/driver/stream.h"

namespace striate {

bool is_on_device(py::handle value);
Operand read_on_device(py::handle array, const char* op, const char* argument);
Operand read_on_device_with_bf16(py::handle array, const char* op, const char* argument);
Indices read_indices_on_device(py::handle array, const char* op, const char* argument);
py::object c_contiguous_on_device(py::handle array);  // itself if it is in C order, else a copy

// Views with an axis moved to the end, and the last one back to its place.
py::object axis_to_end(py::handle array, int axis);
py::object axis_from_end(py::handle array, int axis);

// Uninitialised, on the GPU `device`.
py::object make_device_array(Dtype dtype, const ptrdiff_t* shape, int rank, const ptrdiff_t* stride,
                             int device);

// uint8, uninitialised, in C order, and the memory of one of this shape.
py::object make_device_bytes(const ptrdiff_t* shape, int rank, int device);
const uint8_t* read_device_bytes(py::handle array, const char* op, const char* argument,
                                 const ptrdiff_t* shape, int rank, int device);

// Uninitialised int64 in C order.
py::object make_device_indices(const ptrdiff_t* shape, int rank, int device);

// CuPy's current stream of this thread.
cuda::Stream current_stream(int device);

// launch(stream) on the current stream, while other Python threads run: a first launch compiles.
template <class F>
void on_stream(int device, F&& launch) {
  const cuda::Stream stream = current_stream(device);
  const py::gil_scoped_release unlocked;
  launch(stream);
}

// Holds the array of an operand in C order: the array itself, or a copy by CuPy.
class DenseOnDevice {
 public:
  Operand of(py::handle array, const char* op, const char* argument) {
    held_ = c_contiguous(array, op, argument);
    return read_on_device(held_, op, argument);
  }

 private:
  py::object held_;
};

// The same of images (N, C, H, W) in channels-last memory.
class ImagesOnDevice {
 public:
  Operand of(py::handle array, const char* op, const char* argument) {
    Operand x = read_on_device(array, op, argument);
    if (is_channels_last(x)) return x;
    x.data = held_.of(array.attr("transpose")(0, 2, 3, 1), op, argument).data;
    channels_last(x.shape, x.stride);
    return x;
  }

 private:
  DenseOnDevice held_;
};

// The sum over the first axis of an array on a GPU: of what the parts of a grid have made.
py::object sum_of_parts(py::handle parts);

// What was made, or `out`, into which it is copied, if that is given.
py::object into(const char* op, py::handle out, Result made);

}  // namespace striate
