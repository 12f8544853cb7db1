// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm/problem.h"

#include "bindings/device_array.h"
#include "bindings/epilogue.h"
#include "bindings/gemm_bf16.h"
#include "ops/cast/cast.h"

namespace striate {
namespace {

// An operand as the kernels of GPUs can read it: itself, or a copy in C order.
class ReadableOnDevice {
 public:
  ReadableOnDevice(const Operand& x, py::handle array, const char* argument) : operand_(x) {
    if (gemm_launch_reads(x)) return;
    copy_ = c_contiguous_on_device(array);
    operand_ = read_on_device_with_bf16(copy_, "gemm", argument);
  }
  const Operand& operand() const { return operand_; }

 private:
  py::object copy_;
  Operand operand_;
};

// With sums of R.
template <class R>
py::object gemm_on_device(const Operand& a, py::handle a_array, const Operand& b,
                          py::handle b_array, const EpilogueArguments& arguments, double alpha,
                          double beta, py::handle out) {
  const char* op = "gemm";
  constexpr Dtype of_sums = dtype_of<R>;
  const GemmSizes s = gemm_sizes(a, b);
  const bool narrow = a.dtype == Dtype::bf16 && !out.is_none() &&
                      read_with_bf16(out, op, "out", Places::any).dtype == Dtype::bf16;
  Result c = result(op, out, narrow ? Dtype::bf16 : of_sums, s.result, s.rank, a.device);
  if (c.operand.stride[s.rank - 1] != 1 && s.n > 1)
    fail(op, "out", "dense rows on a GPU", "another order");
  const ReadableOnDevice x(a, a_array, "a"), y(b, b_array, "b");
  const Epilogue<R> e = arguments.of<R>(s.n);
  const SumParts parts = gemm_launch_parts(a.device, s, ptrdiff_t(64) << 20, sizeof(R));
  Result space{py::none(), {}}, sums = c;
  if (parts.parts > 1) space = result(op, py::none(), of_sums, &parts.floats, 1, a.device);
  if (e.activation && !is_c_order(c.operand))
    fail(op, "out", "C order where there is an activation on a GPU", "another order");
  const bool rounds_last = narrow && e.activation;  // activations are of sums
  if (rounds_last) sums = result(op, py::none(), of_sums, s.result, s.rank, a.device);
  on_stream(a.device, [&](const cuda::Stream& stream) {
    const Operand& to = sums.operand;
    if (rounds_last && beta != 0) cast_launch(stream, c.operand, to);
    gemm_launch(stream, s, x.operand(), y.operand(), to, alpha, beta, e, parts,
                space.operand.as<R>());
    arguments.rest(
        e, [&](Activation f, Parameters<double> p) { activation_launch(stream, f, to, p, to); });
    if (rounds_last) cast_launch(stream, to, c.operand);
  });
  return std::move(c.object);
}

py::object gemm_binding(py::handle a_array, py::handle b_array, py::handle bias,
                        py::handle activation, py::handle parameter, double alpha, double beta,
                        py::handle out) {
  const Operand a = read_with_bf16(a_array, "gemm", "a", Places::any);
  if (a.dtype == Dtype::bf16 && a.device == kCpu)
    return gemm_bf16_binding(a, b_array, bias, activation, parameter, alpha, beta, out);
  const Operand b = read_with_bf16(b_array, "gemm", "b", Places::any);
  same_dtype("gemm", "b", a, b);
  same_place("gemm", "a", a, "b", b);
  const GemmSizes s = gemm_sizes(a, b);
  if (beta != 0 && out.is_none())
    fail("gemm", "beta", "0 where no `out` is given to be added to", std::to_string(beta));
  Operand sums = a;
  if (a.dtype == Dtype::bf16) sums.dtype = Dtype::f32;
  EpilogueArguments epilogue("gemm", bias, activation, parameter, sums);
  if (a.device != kCpu) {
    const auto run = a.dtype == Dtype::f64 ? gemm_on_device<double> : gemm_on_device<float>;
    return run(a, a_array, b, b_array, epilogue, alpha, beta, out);
  }
  Result r = result("gemm", out, a.dtype, s.result, s.rank);
  dispatch(a.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    GemmProblem<T> p = gemm_problem<T>(s, a, b, r.operand);
    p.alpha = T(alpha), p.beta = T(beta);
    p.epilogue = epilogue.of<T>(s.n);
    double flops = 2.0 * double(s.batch) * double(s.m) * double(s.n) * double(s.k);
    ReleaseGil release(flops * 0.02);
    gemm(p);
  });
  return std::move(r.object);
}

// B packed for gemm_packed: a flat array, only good for kernels of the same tile width.
py::object pack_binding(py::handle b_array) {
  Operand b = read(b_array, "gemm_pack_b", "b");
  if (b.rank != 2) fail("gemm_pack_b", "b", "rank 2 (rows, columns)", "shape " + b.text());
  py::object packed;
  dispatch(b.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    ptrdiff_t size = ptrdiff_t(packed_b_size<T>(b.shape[0], b.shape[1]));
    Result r = result("gemm_pack_b", py::none(), b.dtype, &size, 1);
    pack_b(matrices<const T>(b), b.shape[0], b.shape[1], r.operand.as<T>());
    packed = std::move(r.object);
  });
  return packed;
}

py::object packed_binding(py::handle a_array, py::handle packed_array, ptrdiff_t columns,
                          py::handle bias, py::handle activation, py::handle parameter,
                          py::handle out) {
  const char* op = "gemm_packed";
  Operand a = read(a_array, op, "a"), packed = read(packed_array, op, "packed");
  same_dtype(op, "packed", a, packed);
  if (a.rank != 2) fail(op, "a", "rank 2 (rows, columns)", "shape " + a.text());
  if (columns < 0) fail(op, "columns", "0 or more", std::to_string(columns));
  ptrdiff_t shape[2] = {a.shape[0], columns};
  checked_product(op, "columns", shape, 2);
  Result r = result(op, out, a.dtype, shape, 2);
  EpilogueArguments epilogue(op, bias, activation, parameter, a);
  dispatch(a.dtype, [&](auto* t) {
    using T = pointee<decltype(t)>;
    ptrdiff_t size = ptrdiff_t(packed_b_size<T>(a.shape[1], columns));
    expect_shape(op, "packed", packed, &size, 1);
    if (!is_c_order(packed)) fail(op, "packed", "what gemm_pack_b made", "a strided array");
    GemmProblem<T> p{1,
                     a.shape[0],
                     columns,
                     a.shape[1],
                     matrices<const T>(a),
                     {nullptr, 0, 1, 0},
                     matrices<T>(r.operand)};
    p.packed_b = packed.as<const T>();
    p.epilogue = epilogue.of<T>(columns);
    ReleaseGil release(2.0 * double(a.size()) * double(columns) * 0.02);
    gemm(p);
  });
  return std::move(r.object);
}

}  // namespace

void bind_gemm(py::module_& m) {
  m.def("gemm", &gemm_binding, py::arg("a"), py::arg("b"), py::arg("bias") = py::none(),
        py::arg("activation") = py::none(), py::arg("parameter") = 0.0, py::arg("alpha") = 1.0,
        py::arg("beta") = 0.0, py::arg("out") = py::none(),
        "activation(alpha * a @ b + beta * out + bias), batched over a leading axis. Of bfloat16 "
        "with float32 sums and bias: float32, or rounded once where `out` is bfloat16.");
  m.def("gemm_pack_b", &pack_binding, py::arg("b"),
        "b packed once for many products: panels as wide as a register tile, as a flat array.");
  m.def("gemm_packed", &packed_binding, py::arg("a"), py::arg("packed"), py::arg("columns"),
        py::arg("bias") = py::none(), py::arg("activation") = py::none(),
        py::arg("parameter") = 0.0, py::arg("out") = py::none(),
        "activation(a @ b + bias) with b of `columns` columns packed by gemm_pack_b.");
}

}  // namespace striate
