// SPDX-License-Identifier: Apache-2.0
#include "ops/embedding/embedding.h"

#include <optional>

#include "bindings/dense.h"
#include "bindings/device_indices.h"

namespace striate {
namespace {

// A matrix whose rows have unit stride: itself, or a copy.
struct Matrix {
  py::object held;
  Operand operand;

  Matrix(const char* op, const char* argument, py::handle array)
      : held(py::reinterpret_borrow<py::object>(array)),
        operand(read(array, op, argument, Places::any)) {
    if (operand.rank != 2) fail(op, argument, "a matrix (rows, columns)", operand.text());
    if (operand.stride[1] == 1 || operand.shape[1] <= 1) return;
    held = c_contiguous(array, op, argument);
    operand = read(held, op, argument, Places::any);
  }
};

// One number for each of `count` indices; null for None.
struct Shares {
  py::object held;
  void* data = nullptr;

  Shares(const char* op, py::handle array, const Operand& like, ptrdiff_t count) {
    if (array.is_none()) return;
    held = c_contiguous(array, op, "shares");
    Operand x = read(held, op, "shares", Places::any);
    same_dtype(op, "shares", like, x);
    same_place(op, "rows", like, "shares", x);
    expect_shape(op, "shares", x, &count, 1);
    data = x.data;
  }
};

// Indices that lie where the matrix does; on a GPU they are checked here, on the CPU by the driver.
Indices read_rows(const char* op, const char* name, const Operand& matrix, py::handle array,
                  const char* argument, ptrdiff_t below) {
  const Indices index = read_indices(array, op, argument, Places::any);
  same_place(op, name, matrix, argument, index);
  if (index.device != kCpu) expect_on_device(op, argument, index, below);
  return index;
}

py::object embedding_on_device(const Operand& table, const Indices& index, const ptrdiff_t* shape,
                               py::handle out) {
  const char* op = "embedding";
  Result y = result(op, py::none(), table.dtype, shape, index.rank + 1, table.device);
  on_stream(table.device,
            [&](const cuda::Stream& s) { embedding_launch(s, table, index, y.operand); });
  return into(op, out, std::move(y));
}

py::object embedding_binding(py::handle weight, py::handle indices, py::handle out) {
  const char* op = "embedding";
  Matrix table(op, "weight", weight);
  Indices index = read_rows(op, "weight", table.operand, indices, "input", table.operand.shape[0]);
  if (index.rank >= kMaxRank) fail(op, "input", "at most 7 axes", std::to_string(index.rank));
  ptrdiff_t shape[kMaxRank];
  for (int i = 0; i < index.rank; ++i) shape[i] = index.shape[i];
  shape[index.rank] = table.operand.shape[1];
  if (index.device != kCpu) return embedding_on_device(table.operand, index, shape, out);
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
  Indices first = read_indices(begin, op, "begin");  // on the CPU in any case
  if (index.rank != 1 || first.rank != 1 || first.size < 1)
    fail(op, "input", "indices (n,) and begin (bags + 1,)",
         shape_text(index.shape, index.rank) + " and " + shape_text(first.shape, first.rank));
  if (index.device != kCpu) check_bags(first, index.size);
  return first;
}

// A copy of indices on a GPU.
struct IndicesThere {
  py::object held;
  IndicesThere(const Indices& indices, py::handle array, int device)
      : held(make_device_indices(indices.shape, indices.rank, device)) {
    held.attr("set")(array);
  }
  int64_t* data() const {
    return reinterpret_cast<int64_t*>(held.attr("data").attr("ptr").cast<uintptr_t>());
  }
};

py::object embedding_sum_binding(py::handle rows, py::handle indices, py::handle begin,
                                 py::handle shares, py::handle out) {
  const char* op = "embedding_bag";
  Matrix table(op, "weight", rows);
  Indices index = read_rows(op, "weight", table.operand, indices, "input", table.operand.shape[0]);
  Indices first = read_bags(op, begin, index);
  Shares share(op, shares, table.operand, index.size);
  ptrdiff_t shape[] = {first.size - 1, table.operand.shape[1]};
  if (index.device != kCpu) {
    Result y = result(op, py::none(), table.operand.dtype, shape, 2, index.device);
    const IndicesThere begins(first, begin, index.device);
    const EmbeddingGroups groups{index.data, begins.data(), nullptr,   share.data,
                                 nullptr,    shape[0],      index.size};
    on_stream(index.device, [&](const cuda::Stream& s) {
      embedding_sum_launch(s, table.operand, groups, y.operand);
    });
    return into(op, out, std::move(y));
  }
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
  Indices index = read_rows(op, "weight", table.operand, indices, "input", table.operand.shape[0]);
  Indices first = read_bags(op, begin, index);
  ptrdiff_t shape[] = {first.size - 1, table.operand.shape[1]};
  if (index.device != kCpu) {
    Result y = result(op, py::none(), table.operand.dtype, shape, 2, index.device);
    py::object from = make_device_indices(shape, 2, index.device);
    int64_t* which = const_cast<int64_t*>(read_indices_on_device(from, op, "which").data);
    const IndicesThere begins(first, begin, index.device);
    const EmbeddingGroups groups{index.data, begins.data(), nullptr,   nullptr,
                                 nullptr,    shape[0],      index.size};
    on_stream(index.device, [&](const cuda::Stream& s) {
      embedding_max_launch(s, table.operand, groups, y.operand, which);
    });
    return py::make_tuple(into(op, out, std::move(y)), std::move(from));
  }
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
  Operand dy = read(dy_array, op, "dy", Places::any);
  if (dy.rank != 2) fail(op, "dy", "a matrix (bags, columns)", dy.text());
  Indices from = read_indices(which, op, "which", Places::any);
  same_place(op, "dy", dy, "which", from);
  expect_shape(op, "dy", dy, from.shape, from.rank);
  if (rows < 0) fail(op, "rows", "0 or more", std::to_string(rows));
  ptrdiff_t shape[] = {rows, dy.shape[1]};
  if (dy.device != kCpu) {
    const int64_t none = -1;
    const IndexCheck found = check_on_device(from, rows, none, dy.dtype, nullptr);
    if (found.place >= 0) refuse_index(op, "which", from, found.place, found.value, rows);
    DenseOnDevice held;
    dy = held.of(dy_array, op, "dy");
    Result dweight = result(op, py::none(), dy.dtype, shape, 2, dy.device);
    on_stream(dy.device, [&](const cuda::Stream& s) {
      embedding_max_backward_launch(s, dy, from.data, dweight.operand);
    });
    return into(op, out, std::move(dweight));
  }
  DenseResult dweight(op, out, dy.dtype, shape, 2);
  {
    ReleaseGil release(double(dy.size()));
    DenseInput dense(dy);
    embedding_max_backward(dense.operand(), from.data, dweight.operand());
  }
  return dweight.finish();
}

// By groups of equal indices, long ones first in runs (cupy_arrays.py), so that the order of a sum
// depends on the indices alone.
py::object backward_on_device(const Operand& rows, py::handle indices, py::handle positions,
                              py::handle shares, ptrdiff_t padding, bool by_frequency,
                              const ptrdiff_t* shape, py::handle out) {
  const char* op = "embedding_backward";
  const int device = rows.device;
  Result dweight = result(op, py::none(), rows.dtype, shape, 2, device);
  dweight.object.attr("fill")(0);
  if (py::len(indices) == 0 || shape[1] == 0) return into(op, out, std::move(dweight));
  const py::object groups =
      py::module_::import("striate.cupy_arrays").attr("groups_of_equal")(indices);
  const auto sorted = [&](py::handle given) {
    return given.is_none() ? py::none() : py::object(given.attr("take")(groups.attr("order")));
  };
  const auto read_part = [&](const char* part) {
    return read_indices_on_device(groups.attr(part), op, part);
  };
  const py::object position =
      positions.is_none() ? py::object(groups.attr("order")) : sorted(positions);
  const Indices at = read_indices_on_device(position, op, "positions"), begin = read_part("begin");
  const Shares share(op, sorted(shares), rows, at.size);
  py::object scale;
  EmbeddingGroups all{at.data,        begin.data, read_part("value").data, share.data, nullptr,
                      begin.size - 1, at.size};
  if (by_frequency) {
    scale = groups.attr("shares")(dtype_name(rows.dtype));
    all.scale = read_on_device(scale, op, "shares").data;
  }
  if (groups.attr("runs").is_none()) {
    on_stream(device,
              [&](const cuda::Stream& s) { embedding_sum_launch(s, rows, all, dweight.operand); });
  } else {
    const Indices runs = read_part("runs"), of_runs = read_part("begin_of_runs");
    const ptrdiff_t partial[] = {runs.size - 1, shape[1]};
    const Result part = result(op, py::none(), rows.dtype, partial, 2, device);
    const EmbeddingGroups of_rows{at.data, runs.data,  nullptr, share.data,
                                  nullptr, partial[0], at.size};
    all.position = nullptr, all.share = nullptr, all.begin = of_runs.data;
    all.indices = partial[0];
    on_stream(device, [&](const cuda::Stream& s) {
      embedding_sum_launch(s, rows, of_rows, part.operand);
      embedding_sum_launch(s, part.operand, all, dweight.operand);
    });
  }
  if (padding >= 0) dweight.object.attr("__getitem__")(padding).attr("fill")(0);
  return into(op, out, std::move(dweight));
}

py::object embedding_backward_binding(py::handle dy, py::handle indices, ptrdiff_t count,
                                      py::handle positions, py::handle shares, ptrdiff_t padding,
                                      bool by_frequency, py::handle out) {
  const char* op = "embedding_backward";
  Matrix rows(op, "dy", dy);
  Indices index = read_rows(op, "dy", rows.operand, indices, "input", count);
  if (count < 0) fail(op, "rows", "0 or more", std::to_string(count));
  std::optional<Indices> position;
  if (!positions.is_none())
    position = read_rows(op, "dy", rows.operand, positions, "positions", rows.operand.shape[0]);
  Shares share(op, shares, rows.operand, index.size);
  ptrdiff_t shape[] = {count, rows.operand.shape[1]};
  if (index.device != kCpu) {
    check_backward(rows.operand, index, position ? &*position : nullptr);
    return backward_on_device(rows.operand, indices, positions, shares, padding, by_frequency,
                              shape, out);
  }
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
