// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding/embedding.h"

#include <optional>

#include "bindings/dense.h"

namespace striate {
namespace {

// A matrix whose rows have unit stride: itself, or a copy.
struct Matrix {
  py::object held;
  Operand operand;

  Matrix(const char* op, const char* argument, py::handle array)
      : held(py::reinterpret_borrow<py::object>(array)), operand(read(array, op, argument)) {
    if (operand.rank != 2) fail(op, argument, "a matrix (rows, columns)", operand.text());
    if (operand.stride[1] == 1 || operand.shape[1] <= 1) return;
    held = c_contiguous(array, op, argument);
    operand = read(held, op, argument);
  }
};

// One number for each of `count` indices; null for None.
struct Shares {
  py::object held;
  void* data = nullptr;

  Shares(const char* op, py::handle array, const Operand& like, ptrdiff_t count) {
    if (array.is_none()) return;
    held = c_contiguous(array, op, "shares");
    Operand x = read(held, op, "shares");
    same_dtype(op, "shares", like, x);
    expect_shape(op, "shares", x, &count, 1);
    data = x.data;
  }
};

py::object embedding_binding(py::handle weight, py::handle indices, py::handle out) {
  const char* op = "embedding";
  Matrix table(op, "weight", weight);
  Indices index = read_indices(indices, op, "input");
  if (index.rank >= kMaxRank) fail(op, "input", "at most 7 axes", std::to_string(index.rank));
  ptrdiff_t shape[kMaxRank];
  for (int i = 0; i < index.rank; ++i) shape[i] = index.shape[i];
  shape[index.rank] = table.operand.shape[1];
  DenseResult y(op, out, table.operand.dtype, shape, index.rank + 1);
  Operand flat = y.operand();
  flat.rank = 2, flat.shape[0] = index.size, flat.stride[0] = flat.shape[1] = shape[index.rank];
  {
    ReleaseGil release(0.3 * double(flat.shape[1]) * double(index.size));
    embedding(table.operand, index, flat);
  }
  return y.finish();
}

// The bags of `indices`: where each begins, and where the last one ends.
Indices read_bags(const char* op, py::handle begin, const Indices& index) {
  Indices first = read_indices(begin, op, "begin");
  if (index.rank != 1 || first.rank != 1 || first.size < 1)
    fail(op, "input", "indices (n,) and begin (bags + 1,)",
         shape_text(index.shape, index.rank) + " and " + shape_text(first.shape, first.rank));
  return first;
}

py::object embedding_sum_binding(py::handle rows, py::handle indices, py::handle begin,
                                 py::handle shares, py::handle out) {
  const char* op = "embedding_bag";
  Matrix table(op, "weight", rows);
  Indices index = read_indices(indices, op, "input"), first = read_bags(op, begin, index);
  Shares share(op, shares, table.operand, index.size);
  ptrdiff_t shape[] = {first.size - 1, table.operand.shape[1]};
  DenseResult y(op, out, table.operand.dtype, shape, 2);
  {
    ReleaseGil release(0.2 * double(shape[1]) * double(index.size + shape[0]));
    embedding_sum(table.operand, index, share.data, first, y.operand());
  }
  return y.finish();
}

py::tuple embedding_max_binding(py::handle rows, py::handle indices, py::handle begin,
                                py::handle out) {
  const char* op = "embedding_bag";
  Matrix table(op, "weight", rows);
  Indices index = read_indices(indices, op, "input"), first = read_bags(op, begin, index);
  ptrdiff_t shape[] = {first.size - 1, table.operand.shape[1]};
  DenseResult y(op, out, table.operand.dtype, shape, 2);
  int64_t* which;
  py::object made = make_indices(shape, 2, &which);
  {
    ReleaseGil release(0.3 * double(shape[1]) * double(index.size + shape[0]));
    embedding_max(table.operand, index, first, y.operand(), which);
  }
  return py::make_tuple(y.finish(), std::move(made));
}

py::object embedding_max_backward_binding(py::handle dy_array, py::handle which, ptrdiff_t rows,
                                          py::handle out) {
  const char* op = "embedding_max_backward";
  Operand dy = read(dy_array, op, "dy");
  if (dy.rank != 2) fail(op, "dy", "a matrix (bags, columns)", dy.text());
  Indices from = read_indices(which, op, "which");
  expect_shape(op, "dy", dy, from.shape, from.rank);
  if (rows < 0) fail(op, "rows", "0 or more", std::to_string(rows));
  ptrdiff_t shape[] = {rows, dy.shape[1]};
  DenseResult dweight(op, out, dy.dtype, shape, 2);
  {
    ReleaseGil release(double(dy.size()));
    DenseInput dense(dy);
    embedding_max_backward(dense.operand(), from.data, dweight.operand());
  }
  return dweight.finish();
}

py::object embedding_backward_binding(py::handle dy, py::handle indices, ptrdiff_t count,
                                      py::handle positions, py::handle shares, ptrdiff_t padding,
                                      bool by_frequency, py::handle out) {
  const char* op = "embedding_backward";
  Matrix rows(op, "dy", dy);
  Indices index = read_indices(indices, op, "input");
  if (count < 0) fail(op, "rows", "0 or more", std::to_string(count));
  std::optional<Indices> position;
  if (!positions.is_none()) position = read_indices(positions, op, "positions");
  Shares share(op, shares, rows.operand, index.size);
  ptrdiff_t shape[] = {count, rows.operand.shape[1]};
  DenseResult dweight(op, out, rows.operand.dtype, shape, 2);
  {
    ReleaseGil release(0.2 * double(shape[1]) * double(index.size + count));
    embedding_backward(rows.operand, index, position ? &*position : nullptr, share.data, padding,
                       by_frequency ? RowScale::by_frequency : RowScale::none, dweight.operand());
  }
  return dweight.finish();
}

}  // namespace

void bind_embedding(py::module_& m) {
  auto none = py::none();
  m.def("embedding", &embedding_binding, py::arg("weight"), py::arg("indices"),
        py::arg("out") = none, "weight[indices]: rows of a matrix, by their numbers.");
  m.def("embedding_sum", &embedding_sum_binding, py::arg("rows"), py::arg("indices"),
        py::arg("begin"), py::arg("shares") = none, py::arg("out") = none,
        "out[g] = sum of shares[k] * rows[indices[k]], begin[g] <= k < begin[g + 1].");
  m.def(
      "embedding_max", &embedding_max_binding, py::arg("rows"), py::arg("indices"),
      py::arg("begin"), py::arg("out") = none,
      "(out, which): the largest rows[indices[k]] of each bag by column, and the row it is from.");
  m.def("embedding_max_backward", &embedding_max_backward_binding, py::arg("dy"), py::arg("which"),
        py::arg("rows"), py::arg("out") = none, "out[which[g, j], j] += dy[g, j], from 0.");
  m.def("embedding_backward", &embedding_backward_binding, py::arg("dy"), py::arg("indices"),
        py::arg("rows"), py::arg("positions") = none, py::arg("shares") = none,
        py::arg("padding") = -1, py::arg("by_frequency") = false, py::arg("out") = none,
        "out[v] = sum of shares[k] * dy[positions[k]] over the k where indices[k] == v.");
}

}  // namespace striate
