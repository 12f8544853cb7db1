// SPDX-License-Identifier: Apache-2.0
#include "ops/ctc/ctc.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <vector>

#include "core/memory.h"
#include "core/threads.h"
#include "ops/activation/activation.h"

namespace striate {
namespace {

const Table<Kernel> kernels{
#define ROW(name, T, isa, pass) STRIATE_KERNEL(ctc, name, T, isa, int(CtcPass::pass))
#include "ops/ctc/kernels.inc"
#undef ROW
};

constexpr ptrdiff_t kEdge = 2;  // elements of -inf on both sides of a row

std::string at(const char* what, ptrdiff_t n) {
  return std::string(what) + "[" + std::to_string(n) + "]";
}

// One sample: its labels, and rows of L elements between edges of -inf.
template <class T>
class Sample {
 public:
  Sample(const Ctc& problem, const CtcIntegers& integers, ptrdiff_t n)
      : problem_(problem),
        labels_(integers.labels.data() + integers.start[size_t(n)]),
        n_(n),
        steps_(integers.steps[size_t(n)]),
        count_(integers.count(n)),
        length_(2 * count_ + 1),
        row_(length_ + 2 * kEdge),
        space_(size_t((steps_ + 3) * row_)) {
    std::fill(space_.data(), space_.data() + space_.size(), kNever);
    for (ptrdiff_t s = 3; s < length_; s += 2)
      if (label(s) != label(s - 2)) skip()[s] = 0;
  }

  // log_z
  T forward() {
    auto* kernel = kernels.best(dtype_of<T>, int(CtcPass::forward)).template as<CtcFn<T>>();
    if (steps_ == 0) return count_ == 0 ? 0 : kNever;
    CtcRow<T> row{};
    row.skip = skip(), row.p = p(), row.n = length_;
    edge()[0] = 0;  // before the first row: nothing seen yet
    for (ptrdiff_t t = 0; t < steps_; ++t) {
      gather(t);
      row.from = t == 0 ? edge() : alpha(t - 1), row.to = alpha(t);
      kernel(row);
    }
    const T last = alpha(steps_ - 1)[length_ - 1];
    const T before = count_ ? alpha(steps_ - 1)[length_ - 2] : kNever;
    const T most = std::max(last, before);
    if (!(most > kNever)) return most;
    return most + std::log(std::exp(last - most) + std::exp(before - most));
  }

  // gradient[t, c] for all steps of this sample. Rows are `stride` apart.
  void backward(T log_z, T* gradient, ptrdiff_t stride) {
    const ptrdiff_t classes = problem_.log_probs.shape[2];
    auto* kernel = kernels.best(dtype_of<T>, int(CtcPass::backward)).template as<CtcFn<T>>();
    auto* exponential = activation_kernel<T>(Activation::exp);
    Workspace<T> gamma{size_t(length_)};
    CtcRow<T> row{};
    row.skip = skip(), row.p = p(), row.n = length_;
    row.from = row.to = edge();
    row.log_z = log_z, row.gamma = gamma.data();
    std::fill(edge(), edge() + length_, kNever);
    edge()[length_ - 1] = 0;  // behind the last row: all is said
    for (ptrdiff_t t = steps_ - 1; t >= 0; --t) {
      gather(t);
      row.alpha = alpha(t);
      kernel(row);
      T* out = gradient + t * stride;
      exponential(log_probs(t), out, classes, {});
      for (ptrdiff_t s = 0; s < length_; ++s) out[label(s)] -= gamma[size_t(s)];
    }
  }

 private:
  static constexpr T kNever = -std::numeric_limits<T>::infinity();

  int64_t label(ptrdiff_t s) const { return s % 2 ? labels_[s / 2] : problem_.blank; }
  const T* log_probs(ptrdiff_t t) const {
    const Operand& x = problem_.log_probs;
    return x.as<const T>() + (t * x.shape[1] + n_) * x.shape[2];
  }
  T* row(ptrdiff_t i) { return space_.data() + i * row_ + kEdge; }
  T* skip() { return row(0); }
  T* p() { return row(1); }
  T* edge() { return row(2); }
  T* alpha(ptrdiff_t t) { return row(3 + t); }

  void gather(ptrdiff_t t) {
    const T* from = log_probs(t);
    T* to = p();
    for (ptrdiff_t s = 0; s < length_; ++s) to[s] = from[label(s)];
  }

  const Ctc& problem_;
  const int64_t* labels_;
  ptrdiff_t n_, steps_, count_, length_, row_;
  Workspace<T> space_;
};

template <class T>
void run(const Ctc& p, const Operand& loss, const Operand& gradient) {
  const CtcIntegers integers(p);
  const ptrdiff_t steps = p.log_probs.shape[0], samples = p.log_probs.shape[1];
  const ptrdiff_t classes = p.log_probs.shape[2], stride = samples * classes;
  parallel_for(samples, [&](ptrdiff_t n) {
    Sample<T> sample(p, integers, n);
    const T log_z = sample.forward();
    const bool zero = p.zero_infinity && std::isinf(log_z);
    loss.as<T>()[n] = zero ? T(0) : -log_z;
    if (!gradient.data) return;
    T* out = gradient.as<T>() + n * classes;
    const ptrdiff_t from = zero ? 0 : integers.steps[size_t(n)];  // steps that have a gradient
    if (!zero) sample.backward(log_z, out, stride);
    for (ptrdiff_t t = from; t < steps; ++t) std::fill_n(out + t * stride, classes, T(0));
  });
}

}  // namespace

CtcIntegers::CtcIntegers(const Ctc& p) : start(1, 0) {
  const ptrdiff_t most = p.log_probs.shape[0], samples = p.log_probs.shape[1];
  labels.reserve(size_t(p.targets.size));
  for (ptrdiff_t n = 0; n < samples; ++n) {
    steps.push_back(read_once(p.input_length.data + n));
    if (steps.back() < 0 || steps.back() > most)
      fail("ctc_loss", at("input_lengths", n).c_str(),
           "0 to " + std::to_string(most) + ", the steps of log_probs",
           std::to_string(steps.back()));
    const int64_t count = read_once(p.target_length.data + n);
    const ptrdiff_t left = p.targets.size - start.back();
    if (count < 0 || count > left)
      fail("ctc_loss", at("target_lengths", n).c_str(),
           "0 to " + std::to_string(left) + ", the labels left", std::to_string(count));
    for (ptrdiff_t i = 0; i < count; ++i) add_label(p, n, i);
    start.push_back(ptrdiff_t(labels.size()));
  }
}

void CtcIntegers::add_label(const Ctc& p, ptrdiff_t n, ptrdiff_t i) {
  const int64_t classes = p.log_probs.shape[2], label = read_once(p.targets.data + labels.size());
  if (label < 0 || label >= classes || label == p.blank)
    throw std::out_of_range("ctc_loss: targets: expected a class from 0 to " +
                            std::to_string(classes - 1) + " other than the blank " +
                            std::to_string(p.blank) + ", got " + std::to_string(label) +
                            " as label " + std::to_string(i) + " of sample " + std::to_string(n));
  labels.push_back(label);
}

ptrdiff_t CtcIntegers::most_states() const {
  ptrdiff_t most = 0;
  for (size_t n = 0; n < steps.size(); ++n) most = std::max(most, count(ptrdiff_t(n)));
  return 2 * most + 1;
}

std::vector<int64_t> CtcIntegers::joined() const {
  std::vector<int64_t> next(labels.size(), -1), first(labels.size(), 1), all = steps;
  for (size_t n = 0; n < steps.size(); ++n) {
    std::unordered_map<int64_t, int64_t> last;  // where each class was met
    for (int64_t i = start[n]; i < start[n + 1]; ++i) {
      const auto [met, fresh] = last.try_emplace(labels[size_t(i)], i);
      if (fresh) continue;
      first[size_t(i)] = 0, next[size_t(met->second)] = i - start[n];
      met->second = i;
    }
  }
  const std::vector<int64_t>* parts[] = {&start, &labels, &next, &first};
  for (const auto* part : parts) all.insert(all.end(), part->begin(), part->end());
  return all;
}

void check(const Ctc& p) {
  const char* op = "ctc_loss";
  if (p.log_probs.rank != 3) fail(op, "log_probs", "(T, N, C)", "shape " + p.log_probs.text());
  const ptrdiff_t samples = p.log_probs.shape[1], classes = p.log_probs.shape[2];
  if (p.blank < 0 || p.blank >= classes)
    fail(op, "blank", "a class from 0 to " + std::to_string(classes - 1), std::to_string(p.blank));
  if (p.targets.rank != 1)
    fail(op, "targets", "one axis here", "shape " + shape_text(p.targets.shape, p.targets.rank));
  auto lengths = [&](const char* argument, const Indices& x) {
    if (x.rank != 1 || x.size != samples)
      fail(op, argument, "shape " + shape_text({samples}) + ", one for each sample",
           "shape " + shape_text(x.shape, x.rank));
  };
  lengths("input_lengths", p.input_length), lengths("target_lengths", p.target_length);
}

void ctc(const Ctc& problem, const Operand& loss, const Operand& gradient) {
  dispatch(problem.log_probs.dtype,
           [&](auto* t) { run<pointee<decltype(t)>>(problem, loss, gradient); });
}

}  // namespace striate
