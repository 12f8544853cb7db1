// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding/embedding.h"

#include "bindings/array.h"
#include "ops/layout/layout.h"

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

Numbers numbers_of(const Indices& x) { return {x.data, x.size, x.shape, x.rank}; }

// A result computed in C order, then copied to an `out` that is in another.
struct Dense {
  Result wanted, made;

  Dense(const char* op, py::handle out, Dtype dtype, const ptrdiff_t* shape, int rank)
      : wanted(result(op, out, dtype, shape, rank)),
        made(is_c_order(wanted.operand) ? wanted : result(op, py::none(), dtype, shape, rank)) {}
  py::object finish() {
    if (made.operand.data != wanted.operand.data) copy(made.operand, wanted.operand);
    return std::move(wanted.object);
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
  Dense y(op, out, table.operand.dtype, shape, index.rank + 1);
  Operand flat = y.made.operand;
  flat.rank = 2, flat.shape[0] = index.size, flat.stride[0] = flat.shape[1] = shape[index.rank];
  {
    ReleaseGil release(0.3 * double(flat.shape[1]) * double(index.size));
    embedding(table.operand, numbers_of(index), flat);
  }
  return y.finish();
}

py::object embedding_sum_binding(py::handle rows, py::handle indices, py::handle begin,
                                 py::handle shares, py::handle out) {
  const char* op = "embedding_bag";
  Matrix table(op, "weight", rows);
  Indices index = read_indices(indices, op, "input"), first = read_indices(begin, op, "begin");
  if (index.rank != 1 || first.rank != 1 || first.size < 1)
    fail(op, "input", "indices (n,) and begin (bags + 1,)",
         shape_text(index.shape, index.rank) + " and " + shape_text(first.shape, first.rank));
  const ptrdiff_t bags = first.size - 1;
  bool ordered = first.data[0] == 0 && first.data[bags] == index.size;
  for (ptrdiff_t g = 0; g < bags; ++g) ordered &= first.data[g] <= first.data[g + 1];
  if (!ordered) fail(op, "begin", "ascending numbers from 0 to the count of indices", "others");
  Shares share(op, shares, table.operand, index.size);
  ptrdiff_t shape[] = {bags, table.operand.shape[1]};
  Dense y(op, out, table.operand.dtype, shape, 2);
  {
    ReleaseGil release(0.2 * double(shape[1]) * double(index.size + bags));
    embedding_sum(table.operand, numbers_of(index), share.data, first.data, y.made.operand);
  }
  return y.finish();
}

py::object embedding_backward_binding(py::handle dy, py::handle indices, ptrdiff_t count,
                                      py::handle positions, py::handle shares, ptrdiff_t padding,
                                      bool by_frequency, py::handle out) {
  const char* op = "embedding_backward";
  Matrix rows(op, "dy", dy);
  Indices index = read_indices(indices, op, "input");
  if (count < 0) fail(op, "rows", "0 or more", std::to_string(count));
  const int64_t* position = nullptr;
  if (!positions.is_none()) {
    Indices p = read_indices(positions, op, "positions");
    if (p.size != index.size)
      fail(op, "positions", std::to_string(index.size) + " numbers", std::to_string(p.size));
    check_numbers(op, "positions", numbers_of(p), rows.operand.shape[0]);
    position = p.data;
  } else if (index.size != rows.operand.shape[0]) {
    fail(op, "dy", std::to_string(index.size) + " rows", rows.operand.text());
  }
  Shares share(op, shares, rows.operand, index.size);
  ptrdiff_t shape[] = {count, rows.operand.shape[1]};
  Dense dweight(op, out, rows.operand.dtype, shape, 2);
  {
    ReleaseGil release(0.2 * double(shape[1]) * double(index.size + count));
    embedding_backward(rows.operand, numbers_of(index), position, share.data, padding,
                       by_frequency ? RowScale::by_frequency : RowScale::none,
                       dweight.made.operand);
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
  m.def("embedding_backward", &embedding_backward_binding, py::arg("dy"), py::arg("indices"),
        py::arg("rows"), py::arg("positions") = none, py::arg("shares") = none,
        py::arg("padding") = -1, py::arg("by_frequency") = false, py::arg("out") = none,
        "out[v] = sum of shares[k] * dy[positions[k]] over the k where indices[k] == v.");
}

}  // namespace striate
