// SPDX-License-Identifier: Apache-2.0
#include "ops/ctc/ctc.h"

#include <optional>

#include "bindings/dense.h"
#include "bindings/device_array.h"

namespace striate {
namespace {

py::object ctc_on_device(const Ctc& p, bool gradient, py::handle out) {
  const char* op = "ctc_loss";
  const CtcIntegers integers(p);
  const ptrdiff_t steps = p.log_probs.shape[0], samples = p.log_probs.shape[1];
  const ptrdiff_t most = integers.most_states(), numbers = integers.joined_size();
  const ptrdiff_t alpha_shape[] = {samples, steps, most}, rows_shape[] = {samples, 3, most};
  const int device = p.log_probs.device;
  const Dtype dtype = p.log_probs.dtype;
  Result loss = result(op, py::none(), dtype, &samples, 1, device), dx;
  if (gradient) dx = result(op, py::none(), dtype, p.log_probs.shape, 3, device);
  const Result alpha = result(op, py::none(), dtype, alpha_shape, 3, device);
  const Result rows = result(op, py::none(), dtype, rows_shape, 3, device);
  const py::object held = make_device_indices(&numbers, 1, device);
  const CtcSpace space{const_cast<int64_t*>(read_indices_on_device(held, op, "targets").data),
                       alpha.operand.data, rows.operand.data};
  on_stream(device, [&](const cuda::Stream& s) {
    ctc_launch(s, p, integers, space, loss.operand, gradient ? dx.operand.data : nullptr);
  });
  if (!gradient) return py::make_tuple(std::move(loss.object), py::none());
  return py::make_tuple(std::move(loss.object), into(op, out, std::move(dx)));
}

py::object ctc_binding(py::handle log_probs, py::handle targets, py::handle input_lengths,
                       py::handle target_lengths, int64_t blank, bool zero_infinity, bool gradient,
                       py::handle out) {
  const char* op = "ctc_loss";
  py::object held = c_contiguous(log_probs, op, "log_probs");
  Ctc p{};
  p.log_probs = read(held, op, "log_probs", Places::any);
  p.targets = read_indices(targets, op, "targets");
  p.input_length = read_indices(input_lengths, op, "input_lengths");
  p.target_length = read_indices(target_lengths, op, "target_lengths");
  p.blank = blank, p.zero_infinity = zero_infinity;
  check(p);
  if (p.log_probs.device != kCpu) return ctc_on_device(p, gradient, out);
  const ptrdiff_t samples = p.log_probs.shape[1];

  std::optional<DenseResult> dx;
  if (gradient) dx.emplace(op, out, p.log_probs.dtype, p.log_probs.shape, 3);
  Operand none = p.log_probs;
  none.data = nullptr;
  Result loss = result(op, py::none(), p.log_probs.dtype, &samples, 1);
  {
    ReleaseGil release(20.0 * double(p.log_probs.shape[0]) * double(samples + 2 * p.targets.size));
    ctc(p, loss.operand, dx ? dx->operand() : none);
  }
  return py::make_tuple(std::move(loss.object), dx ? dx->finish() : py::none());
}

}  // namespace

void bind_ctc(py::module_& m) {
  m.def("ctc_loss", &ctc_binding, py::arg("log_probs"), py::arg("targets"),
        py::arg("input_lengths"), py::arg("target_lengths"), py::arg("blank") = 0,
        py::arg("zero_infinity") = false, py::arg("gradient") = false, py::arg("out") = py::none(),
        "(each sample's loss, gradient or None). log_probs (T, N, C), targets one behind the "
        "other, all integers int64. out takes the gradient.");
}

}  // namespace striate
