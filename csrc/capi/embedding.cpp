// SPDX-License-Identifier: Apache-2.0
// Embedding and dropout.
#include "ops/embedding/embedding.h"

#include "capi/capi.h"
#include "ops/dropout/dropout.h"

using namespace striate;
using capi::Input;
using capi::Null;
using capi::Output;

namespace {

Operand matrix(const char* op, const char* argument, const Operand& x) {
  if (x.rank != 2) fail(op, argument, "rank 2 (rows, columns)", "shape " + x.text());
  return x;
}

// x (…, D), whose leading shape the indices have; in C order it is a matrix (count, D).
ptrdiff_t check_rows(const char* op, const char* argument, const Operand& x, ptrdiff_t columns) {
  if (x.rank < 1 || x.shape[x.rank - 1] != columns)
    fail(op, argument, "a last axis of " + std::to_string(columns) + ", the table's columns",
         "shape " + x.text());
  ptrdiff_t count = 1;
  for (int i = 0; i + 1 < x.rank; ++i) count *= x.shape[i];
  return count;
}

Operand as_matrix(Operand dense, ptrdiff_t rows) {
  const ptrdiff_t columns = dense.shape[dense.rank - 1];
  dense.rank = 2, dense.shape[0] = rows, dense.shape[1] = columns;
  dense.stride[0] = columns, dense.stride[1] = 1;
  return dense;
}

// Where `groups` bags begin, and the indices in them, which the last number counts.
struct Bags {
  Indices begin, index;

  Bags(const char* op, const int64_t* indices, const int64_t* begins, ptrdiff_t groups) {
    const ptrdiff_t ends = groups + 1;
    begin = capi::indices(op, "begin", begins, &ends, 1);
    const ptrdiff_t count = read_once(begins + groups);
    if (count < 0) fail(op, "begin", "a count of 0 or more at the end", std::to_string(count));
    index = capi::indices(op, "indices", indices, &count, 1);
  }
};

}  // namespace

extern "C" {

striate_status striate_embedding_forward(const striate_tensor* table_tensor, const int64_t* indices,
                                         const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "embedding_forward";
    const DenseInput table(matrix(op, "table", capi::read(op, "table", table_tensor)));
    Operand y = capi::written(op, "y", y_tensor);
    same_dtype(op, "y", table.operand(), y);
    const ptrdiff_t count = check_rows(op, "y", y, table.operand().shape[1]);
    const DenseOutput out(y);
    embedding(table.operand(), capi::indices(op, "indices", indices, y.shape, y.rank - 1),
              as_matrix(out.operand(), count));
    out.finish();
  });
}

striate_status striate_embedding_backward(const striate_tensor* dy_tensor, const int64_t* indices,
                                          int64_t padding, int32_t by_frequency,
                                          const striate_tensor* dtable) {
  return capi::guarded([&] {
    const char* op = "embedding_backward";
    const DenseInput dy(capi::read(op, "dy", dy_tensor));
    const DenseOutput out(matrix(op, "dtable", capi::written(op, "dtable", dtable)));
    same_dtype(op, "dtable", dy.operand(), out.operand());
    const ptrdiff_t count = check_rows(op, "dy", dy.operand(), out.operand().shape[1]);
    embedding_backward(
        as_matrix(dy.operand(), count),
        capi::indices(op, "indices", indices, dy.operand().shape, dy.operand().rank - 1), nullptr,
        nullptr, padding, by_frequency ? RowScale::by_frequency : RowScale::none, out.operand());
    out.finish();
  });
}

striate_status striate_embedding_bag_forward(const striate_tensor* table_tensor,
                                             const int64_t* indices, const int64_t* begin,
                                             const striate_tensor* shares,
                                             const striate_tensor* y_tensor) {
  return capi::guarded([&] {
    const char* op = "embedding_bag_forward";
    const DenseInput table(matrix(op, "table", capi::read(op, "table", table_tensor)));
    Operand y = matrix(op, "y", capi::written(op, "y", y_tensor));
    same_dtype(op, "y", table.operand(), y);
    check_rows(op, "y", y, table.operand().shape[1]);
    const Bags bags(op, indices, begin, y.shape[0]);
    const Input share(op, "shares", shares, y, {bags.index.size}, Null::allowed);
    const DenseOutput out(y);
    embedding_sum(table.operand(), bags.index, share.data(), bags.begin, out.operand());
    out.finish();
  });
}

striate_status striate_embedding_bag_backward(const striate_tensor* dy_tensor,
                                              const int64_t* indices, const int64_t* begin,
                                              const striate_tensor* shares,
                                              const striate_tensor* dtable) {
  return capi::guarded([&] {
    const char* op = "embedding_bag_backward";
    const DenseInput dy(matrix(op, "dy", capi::read(op, "dy", dy_tensor)));
    const DenseOutput out(matrix(op, "dtable", capi::written(op, "dtable", dtable)));
    same_dtype(op, "dtable", dy.operand(), out.operand());
    check_rows(op, "dy", dy.operand(), out.operand().shape[1]);
    const Bags bags(op, indices, begin, dy.operand().shape[0]);
    const Input share(op, "shares", shares, dy.operand(), {bags.index.size}, Null::allowed);
    Workspace<int64_t> bag{size_t(bags.index.size)};  // of each index
    groups_of(bags.begin, bags.index.size, bag.data());
    const Indices positions{bag.data(), 1, {bags.index.size}, bags.index.size};
    embedding_backward(dy.operand(), bags.index, &positions, share.data(), -1, RowScale::none,
                       out.operand());
    out.finish();
  });
}

striate_status striate_dropout(const striate_tensor* x_tensor, double p, uint64_t key,
                               const striate_tensor* y) {
  return capi::guarded([&] {
    Operand x = capi::read("dropout", "x", x_tensor);
    dropout(x, {p, 1 / (1 - p), 0, 0, key}, capi::written_like("dropout", "y", y, x));
  });
}

}  // extern "C"
