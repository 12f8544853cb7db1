// SPDX-License-Identifier: Apache-2.0
// A small network trained from C++ through striate's C interface: convolution and relu, maxima, a
// linear layer, cross entropy; forward, backward, and a step of SGD with momentum. Prints the loss
// of each step.
#include <striate.h>

#include <cstdio>
#include <cstdlib>
#include <utility>
#include <vector>

namespace {

void check(striate_status status) {
  if (status == STRIATE_OK) return;
  std::fprintf(stderr, "striate: %s\n", striate_last_error());
  std::exit(1);
}

// Numbers that every language can make alike: -0.5, -0.4375, ... 0.4375, and again.
std::vector<float> numbers(size_t count, size_t step) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = float((i * step) % 16) / 16 - 0.5f;
  return values;
}

// A parameter, its gradient and its momentum, in one memory order.
class Parameter {
 public:
  explicit Parameter(std::vector<float> values)
      : value_(std::move(values)), gradient_(value_.size()), momentum_(value_.size()) {}

  // As an array in C order, or as filters (k, c, r, s) in channels-last memory.
  void shape(std::vector<int64_t> sizes) {
    auto view = [&](std::vector<float>& v) {
      return striate_tensor_of(v.data(), STRIATE_FLOAT32, int32_t(sizes.size()), sizes.data());
    };
    value = view(value_), gradient = view(gradient_), momentum = view(momentum_);
  }
  void filters(int64_t k, int64_t c, int64_t r, int64_t s) {
    auto view = [&](std::vector<float>& v) {
      return striate_images(v.data(), STRIATE_FLOAT32, k, c, r, s);
    };
    value = view(value_), gradient = view(gradient_), momentum = view(momentum_);
  }
  void step(const striate_step& factors) {
    const striate_tensor* states[] = {&momentum};
    check(striate_optimizer_step("sgd_momentum", &factors, &value, &gradient, states, 1));
  }

  striate_tensor value{}, gradient{}, momentum{};

 private:
  std::vector<float> value_, gradient_, momentum_;
};

// (columns, rows): the same memory, strides exchanged.
striate_tensor transposed(striate_tensor t) {
  std::swap(t.shape[0], t.shape[1]);
  std::swap(t.strides[0], t.strides[1]);
  return t;
}

}  // namespace

int main() {
  const int64_t n = 4, c = 1, side = 6, k = 4, places = side / 2, classes = 3;
  const int64_t features = k * places * places;
  const std::vector<float> images = numbers(n * c * side * side, 7);
  const std::vector<int64_t> labels = {0, 1, 2, 1};
  const striate_tensor x = striate_images(images.data(), STRIATE_FLOAT32, n, c, side, side);

  Parameter filters(numbers(k * c * 3 * 3, 5)), bias(numbers(k, 3));
  Parameter linear(numbers(classes * features, 11)), offset(numbers(classes, 5));
  filters.filters(k, c, 3, 3), bias.shape({k});
  linear.shape({classes, features}), offset.shape({classes});

  striate_conv2d same = striate_conv2d_defaults();
  for (int64_t& margin : same.padding) margin = 1;
  const striate_pool2d windows = striate_pool2d_windows(2, 2);

  // Results of the forward pass and their gradients.
  auto image = [&](std::vector<float>& v, int64_t height) {
    v.resize(size_t(n * k * height * height));
    return striate_images(v.data(), STRIATE_FLOAT32, n, k, height, height);
  };
  auto matrix = [&](std::vector<float>& v, int64_t columns) {
    const int64_t shape[2] = {n, columns};
    v.resize(size_t(n * columns));
    return striate_tensor_of(v.data(), STRIATE_FLOAT32, 2, shape);
  };
  std::vector<float> memory[6];
  const striate_tensor y = image(memory[0], side), dy = image(memory[1], side);
  const striate_tensor p = image(memory[2], places), dp = image(memory[3], places);
  // The maxima as they lie in memory are the rows of a matrix.
  const striate_tensor rows = matrix(memory[2], features), drows = matrix(memory[3], features);
  const striate_tensor scores = matrix(memory[4], classes), dscores = matrix(memory[5], classes);
  float loss_value = 0;
  const striate_tensor loss = striate_tensor_of(&loss_value, STRIATE_FLOAT32, 0, nullptr);
  size_t bytes = 0;
  check(striate_max_pool2d_taps_size(&windows, &y, &bytes));
  std::vector<unsigned char> taps(bytes);

  striate_step sgd = striate_step_defaults();
  sgd.rate = 0.05, sgd.first = 0.9, sgd.first_in = 1, sgd.weight_decay = 1e-3;
  const int32_t pixels[] = {0, 2, 3}, samples[] = {0};

  for (int step = 0; step < 40; ++step) {
    striate_epilogue relu = striate_epilogue_defaults(), add = striate_epilogue_defaults();
    relu.bias = &bias.value, relu.activation = "relu", add.bias = &offset.value;
    check(striate_conv2d_forward(&same, &x, &filters.value, &relu, &y));
    check(striate_max_pool2d_forward(&windows, &y, &p, taps.data()));
    const striate_tensor weights = transposed(linear.value);
    check(striate_gemm(&rows, &weights, &add, &scores));
    check(striate_cross_entropy_labels(nullptr, &scores, labels.data(), &loss, &dscores));
    std::printf("%.6f\n", loss_value);

    const striate_tensor dscores_t = transposed(dscores);
    check(striate_gemm(&dscores_t, &rows, nullptr, &linear.gradient));
    check(striate_sum(&dscores, samples, 1, &offset.gradient));
    check(striate_gemm(&dscores, &linear.value, nullptr, &drows));
    check(striate_max_pool2d_backward(&windows, &dp, taps.data(), &dy));
    check(striate_activation_backward("relu", 0, 0, &y, &dy, &dy));
    check(striate_conv2d_backward_weight(&same, &x, &dy, &filters.gradient));
    check(striate_sum(&dy, pixels, 3, &bias.gradient));

    for (Parameter* parameter : {&filters, &bias, &linear, &offset}) parameter->step(sgd);
  }
  return 0;
}
