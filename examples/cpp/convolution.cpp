// SPDX-License-Identifier: Apache-2.0
// A small network's forward pass from C++, through striate's C interface: convolution with bias and
// relu, max pooling, a linear layer, softmax. Prints the probabilities.
#include <striate.h>

#include <cstdio>
#include <cstdlib>
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

}  // namespace

int main() {
  const int64_t n = 2, c = 3, h = 8, w = 8, k = 4, classes = 5;
  std::printf("striate %s on %s, %d threads\n", striate_version(), striate_isa(),
              striate_num_threads());

  // Images and filters in channels-last memory, which needs no copies.
  std::vector<float> x = numbers(n * c * h * w, 7), filters = numbers(k * 3 * 3 * c, 5);
  std::vector<float> bias = numbers(k, 3);
  striate_tensor tx = striate_images(x.data(), STRIATE_FLOAT32, n, c, h, w);
  striate_tensor tw = striate_images(filters.data(), STRIATE_FLOAT32, k, c, 3, 3);
  striate_tensor tb = striate_tensor_of(bias.data(), STRIATE_FLOAT32, 1, &k);

  striate_conv2d options = striate_conv2d_defaults();
  for (int64_t& side : options.padding) side = 1;
  int64_t size[2];
  check(striate_conv2d_output_size(&options, h, w, 3, 3, size));
  std::vector<float> y(n * k * size[0] * size[1]);
  striate_tensor ty = striate_images(y.data(), STRIATE_FLOAT32, n, k, size[0], size[1]);
  striate_epilogue epilogue = striate_epilogue_defaults();
  epilogue.bias = &tb;
  epilogue.activation = "relu";
  check(striate_conv2d_forward(&options, &tx, &tw, &epilogue, &ty));

  striate_pool2d windows = striate_pool2d_windows(4, 4);
  check(striate_pool2d_output_size(&windows, size[0], size[1], size));
  std::vector<float> pooled(n * k * size[0] * size[1]);
  striate_tensor tp = striate_images(pooled.data(), STRIATE_FLOAT32, n, k, size[0], size[1]);
  check(striate_max_pool2d_forward(&windows, &ty, &tp, nullptr));

  // The pooled values, as they lie in memory, are the rows of a matrix.
  const int64_t features = k * size[0] * size[1];
  const int64_t rows[2] = {n, features}, weights[2] = {classes, features}, out[2] = {n, classes};
  std::vector<float> linear = numbers(classes * features, 11), scores(n * classes);
  striate_tensor ta = striate_tensor_of(pooled.data(), STRIATE_FLOAT32, 2, rows);
  striate_tensor tl = striate_tensor_of(linear.data(), STRIATE_FLOAT32, 2, weights);
  striate_tensor ts = striate_tensor_of(scores.data(), STRIATE_FLOAT32, 2, out);
  striate_tensor transposed = tl;  // (features, classes): the same memory, strides exchanged
  transposed.shape[0] = features, transposed.shape[1] = classes;
  transposed.strides[0] = 1, transposed.strides[1] = features;
  check(striate_gemm(&ta, &transposed, nullptr, &ts));
  check(striate_softmax_forward(&ts, 1, &ts));

  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < classes; ++j)
      std::printf(j ? " %.6f" : "%.6f", scores[i * classes + j]);
    std::printf("\n");
  }

  // Errors say which argument, what was expected and what came.
  if (striate_gemm(&ta, &tl, nullptr, &ts) == STRIATE_OK) return 1;
  std::printf("refused: %s\n", striate_last_error());
  return 0;
}
