// SPDX-License-Identifier: Apache-2.0
#include "bindings/array.h"

#include <unistd.h>

#include <climits>

#include "bindings/device_array.h"
#include "core/memory.h"

namespace striate {
namespace {

constexpr int kFloat32 = 11, kFloat64 = 12, kInt64 = 7, kLongLong = 9, kUint8 = 2;  // NumPy's
constexpr size_t kSmall = 4096;  // bytes up to which NumPy's own allocator is quicker

using npy = py::detail::npy_api;

// Set at import. A static made at first use would import with its guard held: two threads that come
// at once, one waiting for the guard with the GIL, the other for the GIL with the guard, stay
// there.
const npy* api = nullptr;

const npy& numpy() { return *api; }

const py::detail::PyArray_Proxy* array_struct(py::handle h, const char* op, const char* argument) {
  if (Py_TYPE(h.ptr()) != numpy().PyArray_Type_)
    throw TypeMismatch(std::string(op) + ": " + argument + ": expected a NumPy array, got " +
                       (is_on_device(h) ? "one on a GPU, for which there is no kernel here yet; "
                                          "move it with .cpu()"
                                        : Py_TYPE(h.ptr())->tp_name));
  return py::detail::array_proxy(h.ptr());
}

std::string dtype_text(const py::detail::PyArray_Proxy* a) {
  return py::str(py::handle(a->descr)).cast<std::string>();
}

// bfloat16 is ml_dtypes' type, whose number NumPy gives out when that package registers it.
int bf16_number = -1;

bool is_bf16(const py::detail::PyArray_Proxy* a) {
  constexpr int kFirstForeign = 256;  // NPY_USERDEF
  const auto* descr = py::detail::array_descriptor_proxy(a->descr);
  if (descr->type_num < kFirstForeign) return false;
  if (bf16_number < 0 && dtype_text(a) == "bfloat16") bf16_number = descr->type_num;
  return descr->type_num == bf16_number;
}

int number_of_bf16() {
  if (bf16_number < 0) {
    py::object dtype = py::module_::import("striate.dtypes").attr("bfloat16");
    bf16_number = py::detail::array_descriptor_proxy(dtype.ptr())->type_num;
  }
  return bf16_number;
}

[[noreturn]] void refuse(const py::detail::PyArray_Proxy* a, const char* op, const char* argument,
                         const char* expected) {
  if (is_bf16(a))
    throw TypeMismatch(std::string(op) + ": " + argument + ": expected " + expected +
                       ", got bfloat16, which only casts and products take; cast with .float()");
  throw TypeMismatch(std::string(op) + ": " + argument + ": expected " + expected + ", got " +
                     dtype_text(a));
}

int type_number(const py::detail::PyArray_Proxy* a) {
  const auto* descr = py::detail::array_descriptor_proxy(a->descr);
  bool native = descr->byteorder == '=' || descr->byteorder == '|';
  return native ? descr->type_num : -1;
}

void free_block(PyObject* capsule) { pool_free(PyCapsule_GetPointer(capsule, nullptr)); }

py::object new_array(int type_number, size_t item, const ptrdiff_t* shape, int rank,
                     const ptrdiff_t* stride) {
  ssize_t dims[kMaxRank], steps[kMaxRank];
  size_t bytes = item;
  for (int i = 0; i < rank; ++i) {
    dims[i] = shape[i];
    steps[i] = stride[i] * ssize_t(item);
    if (__builtin_mul_overflow(bytes, size_t(shape[i]), &bytes) || bytes > size_t(PTRDIFF_MAX))
      throw std::invalid_argument("a result of shape " + shape_text(shape, rank) +
                                  " is larger than the address space");
  }
  py::object base;
  void* block = nullptr;
  if (bytes > kSmall) {
    block = pool_allocate(bytes);
    base = py::reinterpret_steal<py::object>(PyCapsule_New(block, nullptr, free_block));
    if (!base) {
      pool_free(block);
      throw py::error_already_set();
    }
  }
  PyObject* descr = numpy().PyArray_DescrFromType_(type_number);
  PyObject* made = numpy().PyArray_NewFromDescr_(
      numpy().PyArray_Type_, descr, rank, dims, steps, block,
      block ? npy::NPY_ARRAY_WRITEABLE_ | npy::NPY_ARRAY_ALIGNED_ : 0, nullptr);
  if (made == nullptr) throw py::error_already_set();
  py::object array = py::reinterpret_steal<py::object>(made);
  if (block) numpy().PyArray_SetBaseObject_(made, base.release().ptr());
  return array;
}

int number_of(Dtype dtype) {
  return dtype == Dtype::f32 ? kFloat32 : dtype == Dtype::f64 ? kFloat64 : number_of_bf16();
}

}  // namespace

void load_numpy() { api = &npy::get(); }

namespace {

Operand read_as(const py::detail::PyArray_Proxy* a, Dtype dtype, const char* op,
                const char* argument) {
  Operand x;
  x.dtype = dtype;
  if (!(a->flags & npy::NPY_ARRAY_ALIGNED_))
    fail(op, argument, "an aligned array", "one whose items are misaligned; copy it first");
  if (a->nd > kMaxRank) fail(op, argument, "at most 8 axes", std::to_string(a->nd));
  x.data = a->data;
  x.rank = a->nd;
  const ptrdiff_t item = ptrdiff_t(item_size(x.dtype));
  for (int i = 0; i < a->nd; ++i) {
    x.shape[i] = a->dimensions[i];
    if (a->strides[i] % item != 0)
      fail(op, argument, "strides that are multiples of the item size",
           std::to_string(a->strides[i]) + " bytes on axis " + std::to_string(i) +
               "; copy it first");
    x.stride[i] = a->strides[i] / item;
  }
  return x;
}

}  // namespace

Operand read(py::handle h, const char* op, const char* argument, Places places) {
  if (places == Places::any && is_on_device(h)) return read_on_device(h, op, argument);
  const auto* a = array_struct(h, op, argument);
  const int type = type_number(a);
  if (type != kFloat32 && type != kFloat64) refuse(a, op, argument, "float32 or float64");
  return read_as(a, type == kFloat32 ? Dtype::f32 : Dtype::f64, op, argument);
}

Operand read_with_bf16(py::handle h, const char* op, const char* argument, Places places) {
  if (places == Places::any && is_on_device(h)) return read_on_device_with_bf16(h, op, argument);
  const auto* a = array_struct(h, op, argument);
  return is_bf16(a) ? read_as(a, Dtype::bf16, op, argument) : read(h, op, argument);
}

bool is_scalar(py::handle value) {
  return PyFloat_CheckExact(value.ptr()) || PyLong_CheckExact(value.ptr());
}

Operand read_or_scalar(py::handle value, Dtype dtype, double* scalar, const char* op,
                       const char* argument, Places places) {
  if (!is_scalar(value)) return read(value, op, argument, places);
  double number = PyFloat_AsDouble(value.ptr());
  if (number == -1.0 && PyErr_Occurred()) throw py::error_already_set();
  if (dtype == Dtype::f32)
    *reinterpret_cast<float*>(scalar) = float(number);
  else
    *scalar = number;
  Operand x;
  x.data = scalar, x.dtype = dtype, x.rank = 0;
  return x;
}

namespace {

void expect_writable(py::handle h, const char* op, const char* argument) {
  if (is_on_device(h)) return;  // CuPy has no other arrays
  if (!(array_struct(h, op, argument)->flags & npy::NPY_ARRAY_WRITEABLE_))
    fail(op, argument, "a writable array", "a read-only one");
}

}  // namespace

Operand read_out(py::handle h, const char* op, const char* argument, Places places) {
  Operand x = read(h, op, argument, places);
  expect_writable(h, op, argument);
  return x;
}

py::object c_contiguous(py::handle h, const char* op, const char* argument) {
  if (is_on_device(h)) return c_contiguous_on_device(h);
  const auto* a = array_struct(h, op, argument);
  if (a->flags & npy::NPY_ARRAY_C_CONTIGUOUS_) return py::reinterpret_borrow<py::object>(h);
  constexpr int kCOrder = 0;
  PyObject* copy = numpy().PyArray_NewCopy_(h.ptr(), kCOrder);
  if (copy == nullptr) throw py::error_already_set();
  return py::reinterpret_steal<py::object>(copy);
}

py::object broadcast_to(py::handle h, const ptrdiff_t* shape, int rank) {
  Operand x = read(h, "broadcast_to", "x");
  ssize_t dims[kMaxRank], steps[kMaxRank];
  int lead = rank - x.rank;
  bool repeats = lead >= 0;
  for (int i = 0; repeats && i < x.rank; ++i)
    repeats = x.shape[i] == 1 || x.shape[i] == shape[i + lead];
  if (!repeats)
    fail("broadcast_to", "x", "a shape that repeats to " + shape_text(shape, rank), x.text());
  for (int i = 0; i < rank; ++i) {
    dims[i] = shape[i];
    ptrdiff_t n = i < lead ? 1 : x.shape[i - lead];
    steps[i] = n == 1 ? 0 : x.stride[i - lead] * ssize_t(item_size(x.dtype));
  }
  PyObject* descr = numpy().PyArray_DescrFromType_(number_of(x.dtype));
  PyObject* view = numpy().PyArray_NewFromDescr_(numpy().PyArray_Type_, descr, rank, dims, steps,
                                                 x.data, npy::NPY_ARRAY_ALIGNED_, nullptr);
  if (view == nullptr) throw py::error_already_set();
  numpy().PyArray_SetBaseObject_(view, h.inc_ref().ptr());
  return py::reinterpret_steal<py::object>(view);
}

Indices read_indices(py::handle h, const char* op, const char* argument, Places places) {
  if (places == Places::any && is_on_device(h)) return read_indices_on_device(h, op, argument);
  const auto* a = array_struct(h, op, argument);
  int type = type_number(a);
  if (type != kInt64 && type != kLongLong) refuse(a, op, argument, "int64");
  if (!(a->flags & npy::NPY_ARRAY_C_CONTIGUOUS_) || !(a->flags & npy::NPY_ARRAY_ALIGNED_))
    fail(op, argument, "an aligned array in C order", "a strided one; copy it first");
  if (a->nd > kMaxRank) fail(op, argument, "at most 8 axes", std::to_string(a->nd));
  Indices x{reinterpret_cast<const int64_t*>(a->data), a->nd, {}, 1};
  for (int i = 0; i < a->nd; ++i) x.size *= x.shape[i] = a->dimensions[i];
  return x;
}

void restore_gil(PyThreadState* saved) noexcept {
  try {
    PyEval_RestoreThread(saved);
  } catch (...) {
    // The interpreter is ending, and CPython before 3.14 ends this thread by unwinding it. That
    // would drop Python objects without the GIL, and noexcept forbids it: stay here instead.
    for (;;) pause();
  }
}

py::object make_array(Dtype dtype, const ptrdiff_t* shape, int rank, const ptrdiff_t* stride) {
  return new_array(number_of(dtype), item_size(dtype), shape, rank, stride);
}

py::object make_array(Dtype dtype, const ptrdiff_t* shape, int rank) {
  ptrdiff_t stride[kMaxRank];
  c_order(shape, rank, stride);
  return make_array(dtype, shape, rank, stride);
}

py::object make_indices(const ptrdiff_t* shape, int rank, int64_t** data) {
  ptrdiff_t stride[kMaxRank];
  c_order(shape, rank, stride);
  py::object array = new_array(kInt64, 8, shape, rank, stride);
  *data = reinterpret_cast<int64_t*>(py::detail::array_proxy(array.ptr())->data);
  return array;
}

py::object make_bytes(const ptrdiff_t* shape, int rank) {
  ptrdiff_t stride[kMaxRank];
  c_order(shape, rank, stride);
  return new_array(kUint8, 1, shape, rank, stride);
}

const uint8_t* read_bytes(py::handle h, const char* op, const char* argument,
                          const ptrdiff_t* shape, int rank) {
  const auto* a = array_struct(h, op, argument);
  if (type_number(a) != kUint8) refuse(a, op, argument, "uint8");
  bool same = a->nd == rank && (a->flags & npy::NPY_ARRAY_C_CONTIGUOUS_);
  for (int i = 0; same && i < rank; ++i) same = a->dimensions[i] == shape[i];
  if (!same) fail(op, argument, "shape " + shape_text(shape, rank) + " in C order", "another");
  return reinterpret_cast<const uint8_t*>(a->data);
}

Result result(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank,
              const ptrdiff_t* stride, int device) {
  Result r;
  if (out && !out.is_none()) {
    r.operand = read_with_bf16(out, op, "out", Places::any);
    if (r.operand.device != device)
      throw TypeMismatch(std::string(op) + ": out: expected an array on " + place_text(device) +
                         " like the operands, got one on " + place_text(r.operand.device));
    expect_writable(out, op, "out");
    if (r.operand.dtype != dtype)
      throw TypeMismatch(std::string(op) + ": out: expected " + dtype_name(dtype) + ", got " +
                         dtype_name(r.operand.dtype));
    expect_shape(op, "out", r.operand, shape, rank);
    r.object = py::reinterpret_borrow<py::object>(out);
    return r;
  }
  if (device != kCpu) {
    r.object = make_device_array(dtype, shape, rank, stride, device);
    r.operand = read_on_device_with_bf16(r.object, op, "out");
    return r;
  }
  try {
    r.object = make_array(dtype, shape, rank, stride);
  } catch (const OutOfMemory& e) {
    throw OutOfMemory(e.bytes(),
                      (std::string(op) + ": a result of shape " + shape_text(shape, rank)).c_str());
  }
  r.operand.data = py::detail::array_proxy(r.object.ptr())->data;
  r.operand.dtype = dtype;
  r.operand.rank = rank;
  for (int i = 0; i < rank; ++i) r.operand.shape[i] = shape[i], r.operand.stride[i] = stride[i];
  return r;
}

Result result(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank,
              int device) {
  ptrdiff_t stride[kMaxRank];
  c_order(shape, rank, stride);
  return result(op, out, dtype, shape, rank, stride, device);
}

Result result_channels_last(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape,
                            int rank, int device) {
  ptrdiff_t stride[kMaxRank];
  channels_last(shape, stride, rank);
  return result(op, out, dtype, shape, rank, stride, device);
}

Result result_like(const char* op, py::handle out, const Operand& x) {
  if (is_dense(x)) return result(op, out, x.dtype, x.shape, x.rank, x.stride, x.device);
  return result(op, out, x.dtype, x.shape, x.rank, x.device);
}

}  // namespace striate
