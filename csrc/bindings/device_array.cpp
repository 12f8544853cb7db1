// SPDX-License-Identifier: Apache-2.0
#include "bindings/device_array.h"

#include "cuda/driver/device.h"

namespace striate {
namespace {

// What striate/cupy_arrays.py said; null before. Never given back: a destructor would run after the
// interpreter's end.
PyTypeObject* type_of_arrays = nullptr;
PyObject *empty_function = nullptr, *stream_function = nullptr;

void set_functions(const py::object& type, const py::object& empty, const py::object& stream) {
  type_of_arrays = reinterpret_cast<PyTypeObject*>(type.inc_ref().ptr());
  empty_function = empty.inc_ref().ptr();
  stream_function = stream.inc_ref().ptr();
}

bool is_bf16(py::handle array) {
  return array.attr("dtype").attr("name").cast<std::string>() == "bfloat16";
}

enum class Bf16 { refused, taken };

Dtype dtype_of_array(py::handle array, const char* op, const char* argument, Bf16 bf16) {
  const auto name = array.attr("dtype").attr("name").cast<std::string>();
  if (name == "float32") return Dtype::f32;
  if (name == "float64") return Dtype::f64;
  const bool low = name == "bfloat16";
  if (low && bf16 == Bf16::taken) return Dtype::bf16;
  throw TypeMismatch(std::string(op) + ": " + argument + ": expected float32 or float64, got " +
                     name +
                     (low ? ", which only casts and products take; cast with .float()" : ""));
}

}  // namespace

bool is_on_device(py::handle value) {
  return type_of_arrays && Py_TYPE(value.ptr()) == type_of_arrays;
}

namespace {

// All but the dtype, whose items have this size.
Operand read_sized(py::handle array, ptrdiff_t item, const char* op, const char* argument) {
  Operand x{};
  const py::object memory = array.attr("data");
  x.data = reinterpret_cast<void*>(memory.attr("ptr").cast<uintptr_t>());
  x.device = memory.attr("device_id").cast<int>();
  const py::tuple shape = array.attr("shape"), strides = array.attr("strides");
  if (shape.size() > size_t(kMaxRank))
    fail(op, argument, "at most 8 axes", std::to_string(shape.size()));
  x.rank = int(shape.size());
  for (int i = 0; i < x.rank; ++i) {
    x.shape[i] = shape[size_t(i)].cast<ptrdiff_t>();
    const ptrdiff_t bytes = strides[size_t(i)].cast<ptrdiff_t>();
    if (bytes % item != 0)
      fail(op, argument, "strides that are multiples of the item size",
           std::to_string(bytes) + " bytes on axis " + std::to_string(i) + "; copy it first");
    x.stride[i] = bytes / item;
  }
  return x;
}

Operand read_typed(py::handle array, const char* op, const char* argument, Bf16 bf16) {
  const Dtype dtype = dtype_of_array(array, op, argument, bf16);
  Operand x = read_sized(array, ptrdiff_t(item_size(dtype)), op, argument);
  x.dtype = dtype;
  return x;
}

}  // namespace

Operand read_on_device(py::handle array, const char* op, const char* argument) {
  return read_typed(array, op, argument, Bf16::refused);
}

Operand read_on_device_with_bf16(py::handle array, const char* op, const char* argument) {
  return read_typed(array, op, argument, Bf16::taken);
}

Indices read_indices_on_device(py::handle array, const char* op, const char* argument) {
  const std::string name = py::str(array.attr("dtype").attr("name"));
  if (name != "int64")
    throw TypeMismatch(std::string(op) + ": " + argument + ": expected int64, got " + name);
  const Operand x = read_sized(array, sizeof(int64_t), op, argument);
  if (!is_c_order(x)) fail(op, argument, "an array in C order", "a strided one; copy it first");
  Indices indices{static_cast<const int64_t*>(x.data), x.rank, {}, x.size(), x.device};
  for (int i = 0; i < x.rank; ++i) indices.shape[i] = x.shape[i];
  return indices;
}

py::object axis_to_end(py::handle array, int axis) {
  const int rank = array.attr("ndim").cast<int>();
  py::list order;
  for (int i = 0; i < rank; ++i)
    if (i != axis) order.append(i);
  order.append(axis);
  return array.attr("transpose")(*order);
}

py::object axis_from_end(py::handle array, int axis) {
  const int rank = array.attr("ndim").cast<int>();
  py::list order;
  for (int i = 0; i < rank; ++i) order.append(i < axis ? i : i == axis ? rank - 1 : i - 1);
  return array.attr("transpose")(*order);
}

py::object c_contiguous_on_device(py::handle array) {
  if (array.attr("flags").attr("c_contiguous").cast<bool>())
    return py::reinterpret_borrow<py::object>(array);
  if (!is_bf16(array)) return array.attr("copy")("C");
  // CuPy before 14 holds bfloat16, but copies as little as it computes of it.
  const py::object bits = array.attr("view")("uint16").attr("copy")("C");
  return bits.attr("view")(array.attr("dtype"));
}

namespace {

py::object make(const char* dtype, ptrdiff_t item, const ptrdiff_t* shape, int rank,
                const ptrdiff_t* stride, int device) {
  py::tuple sizes{size_t(rank)}, steps{size_t(rank)};
  for (int i = 0; i < rank; ++i) {
    sizes[size_t(i)] = shape[i];
    steps[size_t(i)] = stride[i] * item;
  }
  return py::handle(empty_function)(sizes, dtype, steps, device);
}

}  // namespace

py::object make_device_array(Dtype dtype, const ptrdiff_t* shape, int rank, const ptrdiff_t* stride,
                             int device) {
  return make(dtype_name(dtype), ptrdiff_t(item_size(dtype)), shape, rank, stride, device);
}

py::object make_device_bytes(const ptrdiff_t* shape, int rank, int device) {
  ptrdiff_t stride[kMaxRank];
  c_order(shape, rank, stride);
  return make("uint8", 1, shape, rank, stride, device);
}

const uint8_t* read_device_bytes(py::handle array, const char* op, const char* argument,
                                 const ptrdiff_t* shape, int rank, int device) {
  const bool there =
      is_on_device(array) && array.attr("data").attr("device_id").cast<int>() == device;
  if (!there)
    throw TypeMismatch(std::string(op) + ": " + argument + ": expected an array on " +
                       place_text(device) + ", got another");
  const py::tuple sizes = array.attr("shape");
  bool same = py::str(array.attr("dtype").attr("name")).cast<std::string>() == "uint8" &&
              int(sizes.size()) == rank && array.attr("flags").attr("c_contiguous").cast<bool>();
  for (int i = 0; same && i < rank; ++i) same = sizes[size_t(i)].cast<ptrdiff_t>() == shape[i];
  if (!same)
    fail(op, argument, "uint8 of shape " + shape_text(shape, rank) + " in C order",
         "another array");
  return reinterpret_cast<const uint8_t*>(array.attr("data").attr("ptr").cast<uintptr_t>());
}

py::object make_device_indices(const ptrdiff_t* shape, int rank, int device) {
  py::tuple sizes{size_t(rank)};
  for (int i = 0; i < rank; ++i) sizes[size_t(i)] = shape[i];
  return py::handle(empty_function)(sizes, "int64", py::none(), device);
}

cuda::Stream current_stream(int device) {
  const py::object pointer = py::handle(stream_function)(device);
  return {device, reinterpret_cast<cuda::StreamHandle>(pointer.cast<uintptr_t>())};
}

py::object into(const char* op, py::handle out, Result made) {
  if (!out || out.is_none()) return std::move(made.object);
  const Operand& y = made.operand;
  Result wanted = result(op, out, y.dtype, y.shape, y.rank, y.stride, y.device);
  wanted.object.attr("__setitem__")(py::ellipsis(), made.object);
  return std::move(wanted.object);
}

void bind_device_array(py::module_& m) {
  m.def("cuda_arrays", &set_functions, py::arg("type"), py::arg("empty"), py::arg("stream"),
        "Says what type arrays on a GPU have, how to make one: empty(shape, dtype, strides, "
        "device), and to which stream work goes: stream(device).");
}

}  // namespace striate
