// SPDX-License-Identifier: Apache-2.0
#include "ops/loss/loss.h"

#include <cstring>

#include "capi/capi.h"
#include "ops/ctc/ctc.h"

using namespace striate;
using capi::Input;
using capi::Null;
using capi::Output;

namespace {

Loss loss_by_name(const char* name) {
  constexpr std::pair<const char*, Loss> names[] = {
      {"mse_loss", Loss::squared_error},
      {"l1_loss", Loss::absolute_error},
      {"huber_loss", Loss::huber},
      {"binary_cross_entropy_with_logits", Loss::binary_logits}};
  for (auto& [known, loss] : names)
    if (std::strcmp(name, known) == 0) return loss;
  fail("pointwise_loss", "name",
       "mse_loss, l1_loss, huber_loss or binary_cross_entropy_with_logits",
       "\"" + std::string(name) + "\"");
}

// A result that may be left out, as drivers take it: without data.
Operand maybe_like(const char* op, const char* argument, const striate_tensor* t,
                   const Operand& like) {
  if (t != nullptr) return capi::written_like(op, argument, t, like);
  Operand none = like;
  none.data = nullptr;
  return none;
}

// Options, weight and reduction; the labels or the target are the caller's to set.
CrossEntropy problem_of(const striate_cross_entropy& p, const Operand& x, const Input& weight) {
  CrossEntropy problem;
  problem.x = x;
  problem.weight = weight.operand();
  problem.ignored = p.ignore_index, problem.smoothing = p.label_smoothing;
  problem.reduction = reduction_by_name("cross_entropy", p.reduction);
  return problem;
}

Input weight_of(const striate_cross_entropy& p, const Operand& x) {
  const ptrdiff_t classes = x.rank ? x.shape[x.rank == 1 ? 0 : 1] : 0;
  return {"cross_entropy", "weight", p.weight, x, {classes}, Null::allowed};
}

void run(const CrossEntropy& problem, const striate_tensor* loss, const striate_tensor* dx) {
  ptrdiff_t shape[kMaxRank];
  const int rank = cross_entropy_shape(problem, shape);
  const Output to("cross_entropy", "loss", loss, problem.x, shape, rank, Null::refused);
  cross_entropy(problem, to.operand(), maybe_like("cross_entropy", "dx", dx, problem.x));
  to.finish();
}

}  // namespace

extern "C" {

striate_status striate_cross_entropy_labels(const striate_cross_entropy* p,
                                            const striate_tensor* x_tensor, const int64_t* labels,
                                            const striate_tensor* loss, const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "cross_entropy";
    const striate_cross_entropy options = p ? *p : striate_cross_entropy_defaults();
    Operand x = capi::read(op, "x", x_tensor);
    const Input weight = weight_of(options, x);
    CrossEntropy problem = problem_of(options, x, weight);
    ptrdiff_t rows[kMaxRank];
    int rank = 0;
    for (int i = 0; i < x.rank; ++i)
      if (i != (x.rank == 1 ? 0 : 1)) rows[rank++] = x.shape[i];
    problem.labels = capi::indices(op, "labels", labels, rows, rank);
    run(problem, loss, dx);
  });
}

striate_status striate_cross_entropy_probabilities(const striate_cross_entropy* p,
                                                   const striate_tensor* x_tensor,
                                                   const striate_tensor* target,
                                                   const striate_tensor* loss,
                                                   const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "cross_entropy";
    const striate_cross_entropy options = p ? *p : striate_cross_entropy_defaults();
    Operand x = capi::read(op, "x", x_tensor);
    const Input weight = weight_of(options, x);
    CrossEntropy problem = problem_of(options, x, weight);
    problem.target = capi::read_like(op, "target", target, x);
    run(problem, loss, dx);
  });
}

striate_status striate_pointwise_loss(const char* name, double parameter, const char* reduction,
                                      const striate_tensor* x_tensor,
                                      const striate_tensor* target_tensor,
                                      const striate_tensor* loss, const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "pointwise_loss";
    Pointwise p{};
    p.what = loss_by_name(&capi::given(op, "name", name));
    p.parameter = parameter, p.factor = 1;
    p.reduction = reduction_by_name(op, reduction);
    const DenseInput x(capi::read(op, "x", x_tensor));
    const Input target(op, "target", target_tensor, x.operand(), x.operand().shape,
                       x.operand().rank, Null::refused);
    p.x = x.operand(), p.target = *target.operand();
    const int rank = p.reduction == LossReduction::none ? p.x.rank : 0;
    const Output to(op, "loss", loss, p.x, p.x.shape, rank, Null::refused);
    const DenseOutput gradient(maybe_like(op, "dx", dx, p.x));
    pointwise_loss(p, to.operand(), gradient.operand());
    to.finish(), gradient.finish();
  });
}

striate_status striate_ctc_loss(const striate_tensor* log_probs, const int64_t* targets,
                                int64_t target_count, const int64_t* input_lengths,
                                const int64_t* target_lengths, int64_t blank, int32_t zero_infinity,
                                const striate_tensor* loss, const striate_tensor* dx) {
  return capi::guarded([&] {
    const char* op = "ctc_loss";
    const DenseInput x(capi::read(op, "log_probs", log_probs));
    Ctc p{};
    p.log_probs = x.operand();
    if (p.log_probs.rank != 3) fail(op, "log_probs", "(T, N, C)", "shape " + p.log_probs.text());
    const ptrdiff_t samples = p.log_probs.shape[1], count = target_count;
    p.targets = capi::indices(op, "targets", targets, &count, 1);
    p.input_length = capi::indices(op, "input_lengths", input_lengths, &samples, 1);
    p.target_length = capi::indices(op, "target_lengths", target_lengths, &samples, 1);
    p.blank = blank, p.zero_infinity = zero_infinity != 0;
    check(p);
    const Output to(op, "loss", loss, p.log_probs, {samples}, Null::refused);
    const DenseOutput gradient(maybe_like(op, "dx", dx, p.log_probs));
    ctc(p, to.operand(), gradient.operand());
    to.finish(), gradient.finish();
  });
}

}  // extern "C"
