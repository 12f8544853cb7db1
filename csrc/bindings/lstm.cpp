// SPDX-License-Identifier: Apache-2.0
#include "ops/lstm/lstm.h"

#include <initializer_list>
#include <vector>

#include "bindings/array.h"
#include "core/memory.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

constexpr const char* kCells[] = {"lstm", "gru", "rnn_tanh", "rnn_relu"};

Cell cell_of(const std::string& name) {
  for (int i = 0; i < 4; ++i)
    if (name == kCells[i]) return Cell(i);
  fail("rnn", "cell", "lstm, gru, rnn_tanh or rnn_relu", "'" + name + "'");
}

// The arrays of a layer as Python gives them.
struct Arguments {
  py::handle x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes;
};

// Shapes and operands of a layer, checked. x is (T, N, I), or packed rows (R, I) with batch_sizes.
class LayerArguments {
 public:
  LayerArguments(const char* op, Cell cell, const Arguments& a, bool reverse)
      : op_(op), cell_(cell), reverse_(reverse) {
    x_ = dense("x", a.x, nullptr, 0);
    read_steps(a.batch_sizes);
    read_sizes(a);
    const ptrdiff_t gates = gates_, n = batch_;
    w_ih_ = dense("w_ih", a.w_ih, {gates, input_});
    w_hh_ = dense("w_hh", a.w_hh, {gates, output_});
    if (a.b_ih.is_none() != a.b_hh.is_none())
      fail(op, "b_hh", "both biases or none", "one of them");
    if (!a.b_ih.is_none()) {
      b_ih_ = dense("b_ih", a.b_ih, {gates});
      b_hh_ = dense("b_hh", a.b_hh, {gates});
    }
    if (!a.w_hr.is_none()) w_hr_ = dense("w_hr", a.w_hr, {output_, hidden_});
    if (!a.h0.is_none()) h0_ = dense("h0", a.h0, {n, output_});
    if (!a.c0.is_none()) {
      if (cell != Cell::lstm) fail(op, "c0", "None: only an LSTM has one", "an array");
      c0_ = dense("c0", a.c0, {n, hidden_});
    }
  }

  template <class T>
  RnnLayer<T> of(Rows<T> y, Rows<T> kept) const {
    auto at = [](const Operand& o) { return o.rank ? o.as<const T>() : nullptr; };
    return {cell_,     reverse_ ? Direction::reverse : Direction::forward,
            input_,    hidden_,
            output_,   at(w_ih_),
            at(w_hh_), at(b_ih_),
            at(b_hh_), at(w_hr_),
            batch_,    offset_,
            at(x_),    at(h0_),
            at(c0_),   y,
            kept};
  }

  const Operand& x() const { return x_; }
  Dtype dtype() const { return x_.dtype; }
  ptrdiff_t rows() const { return offset_.back(); }
  ptrdiff_t batch() const { return batch_; }
  ptrdiff_t hidden() const { return hidden_; }
  ptrdiff_t input() const { return input_; }
  ptrdiff_t output() const { return output_; }
  bool has_bias() const { return b_ih_.rank != 0; }
  bool projected() const { return w_hr_.rank != 0; }
  bool has_h0() const { return h0_.rank != 0; }
  bool has_c0() const { return c0_.rank != 0; }
  // An estimate of forward.
  double nanoseconds() const {
    return 0.04 * double(rows()) * double(gates_) * double(input_ + output_);
  }

  // The shape of x with `last` values a row; returns the rank.
  int shape_of(ptrdiff_t last, ptrdiff_t* shape) const {
    for (int i = 0; i < x_.rank; ++i) shape[i] = x_.shape[i];
    shape[x_.rank - 1] = last;
    return x_.rank;
  }
  // As rows [R, last]: a dense operand of shape_of(last), or one that only its rows' distance keeps
  // from being dense. False where it lies otherwise.
  template <class T>
  static bool rows_of(const Operand& o, Rows<T>* rows) {
    const ptrdiff_t last = o.shape[o.rank - 1];
    if (o.stride[o.rank - 1] != 1 && last != 1) return false;
    ptrdiff_t row = o.stride[o.rank - 2];
    if (o.rank == 3) {
      if (o.shape[1] == 1)
        row = o.stride[0];
      else if (o.shape[0] != 1 && o.stride[0] != o.shape[1] * row)
        return false;
    }
    *rows = {o.as<T>(), row};
    return row >= last || o.size() == last;
  }

  // An operand, dense; held until the end of the call.
  Operand dense(const char* name, py::handle array, std::initializer_list<ptrdiff_t> shape) {
    return dense(name, array, shape.begin(), int(shape.size()));
  }
  Operand dense(const char* name, py::handle array, const ptrdiff_t* shape, int rank) {
    held_.push_back(c_contiguous(array, op_, name));
    Operand o = read(held_.back(), op_, name);
    if (shape) {
      same_dtype(op_, name, x_, o);
      expect_shape(op_, name, o, shape, rank);
    }
    return o;
  }

 private:
  void read_steps(py::handle batch_sizes) {
    if (batch_sizes.is_none()) {
      if (x_.rank != 3) fail(op_, "x", "(T, N, I)", "shape " + x_.text());
      if (x_.shape[0] == 0) fail(op_, "x", "at least one step", "shape " + x_.text());
      if (x_.shape[1] == 0) fail(op_, "x", "at least one sequence", "shape " + x_.text());
      batch_ = x_.shape[1];
      offset_.resize(size_t(x_.shape[0]) + 1);
      for (size_t t = 0; t < offset_.size(); ++t) offset_[t] = ptrdiff_t(t) * batch_;
      return;
    }
    if (x_.rank != 2) fail(op_, "x", "packed rows (R, I)", "shape " + x_.text());
    const Indices sizes = read_indices(batch_sizes, op_, "batch_sizes");
    if (sizes.rank != 1 || sizes.size == 0)
      fail(op_, "batch_sizes", "one number a step, at least one",
           "shape " + shape_text(sizes.shape, sizes.rank));
    offset_.push_back(0);
    batch_ = sizes.data[0];
    for (ptrdiff_t t = 0; t < sizes.size; ++t) {
      const ptrdiff_t n = sizes.data[t];
      if (n < 1 || n > (t ? sizes.data[t - 1] : n) || n > x_.shape[0] - offset_.back())
        fail(op_, "batch_sizes",
             "numbers from 1 that never grow and add up to x's " + std::to_string(x_.shape[0]) +
                 " rows",
             std::to_string(n) + " at step " + std::to_string(t));
      offset_.push_back(offset_.back() + n);
    }
    if (rows() != x_.shape[0])
      fail(op_, "batch_sizes", "a sum of " + std::to_string(x_.shape[0]) + ", x's rows",
           std::to_string(rows()));
  }

  void read_sizes(const Arguments& a) {
    const Operand w_hh = read(a.w_hh, op_, "w_hh");
    if (w_hh.rank != 2) fail(op_, "w_hh", "rank 2 (gates, hidden)", "shape " + w_hh.text());
    input_ = x_.shape[x_.rank - 1];
    gates_ = w_hh.shape[0];
    hidden_ = gates_ / gate_count(cell_);
    output_ = hidden_;
    if (hidden_ < 1 || hidden_ * gate_count(cell_) != gates_)
      fail(op_, "w_hh", "rows for " + std::to_string(gate_count(cell_)) + " gates",
           "shape " + w_hh.text());
    if (!a.w_hr.is_none()) {
      if (cell_ != Cell::lstm) fail(op_, "w_hr", "None: only an LSTM has one", "an array");
      const Operand w_hr = read(a.w_hr, op_, "w_hr");
      if (w_hr.rank != 2 || w_hr.shape[0] < 1)
        fail(op_, "w_hr", "rank 2 (projection, hidden)", "shape " + w_hr.text());
      output_ = w_hr.shape[0];
    }
    const ptrdiff_t most[3] = {rows(), 8, hidden_ + 16};  // what is kept a row is less than that
    checked_product(op_, "x", most, 3);
  }

  const char* op_;
  Cell cell_;
  bool reverse_;
  std::vector<py::object> held_;
  Operand x_{}, w_ih_{}, w_hh_{}, b_ih_{}, b_hh_{}, w_hr_{}, h0_{}, c0_{};
  ptrdiff_t input_ = 0, hidden_ = 0, output_ = 0, gates_ = 0, batch_ = 0;
  std::vector<ptrdiff_t> offset_;
};

// Copies dense rows to an operand of any strides.
void scatter(void* from, const Operand& to) {
  Operand dense = to;
  dense.data = from;
  c_order(to.shape, to.rank, dense.stride);
  copy(dense, to);
}

py::tuple forward_binding(const std::string& cell_name, py::handle x, py::handle w_ih,
                          py::handle w_hh, py::handle b_ih, py::handle b_hh, py::handle w_hr,
                          py::handle h0, py::handle c0, py::handle batch_sizes, bool reverse,
                          bool keep, py::handle out) {
  const Cell cell = cell_of(cell_name);
  const char* op = kCells[int(cell)];
  LayerArguments a(op, cell, {x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes}, reverse);
  ptrdiff_t shape[3];
  const int rank = a.shape_of(a.output(), shape);
  Result y = result(op, out, a.dtype(), shape, rank);
  const ptrdiff_t state[2] = {a.batch(), a.output()}, memory[2] = {a.batch(), a.hidden()};
  Result h_n = result(op, py::none(), a.dtype(), state, 2);
  py::object c_n_object = py::none(), kept_object = py::none();
  dispatch(a.dtype(), [&](auto* t) {
    using T = pointee<decltype(t)>;
    T* c_n = nullptr;
    if (cell == Cell::lstm) {
      Result r = result(op, py::none(), a.dtype(), memory, 2);
      c_n = r.operand.template as<T>(), c_n_object = std::move(r.object);
    }
    Rows<T> kept{nullptr, 0}, rows;
    const ptrdiff_t columns[2] = {a.rows(), kept_columns<T>(cell, a.hidden(), a.projected())};
    if (keep && columns[1] > 0) {
      Result r = result(op, py::none(), a.dtype(), columns, 2);
      kept = {r.operand.template as<T>(), columns[1]}, kept_object = std::move(r.object);
    }
    const bool direct = LayerArguments::rows_of(y.operand, &rows);
    Workspace<T> space(direct ? 0 : size_t(a.rows()) * size_t(a.output()));
    if (!direct) rows = {space.data(), a.output()};
    ReleaseGil release(a.nanoseconds());
    rnn_forward(a.of<T>(rows, kept), h_n.operand.as<T>(), c_n);
    if (!direct) scatter(space.data(), y.operand);
  });
  return py::make_tuple(std::move(y.object), std::move(h_n.object), std::move(c_n_object),
                        std::move(kept_object));
}

// Results of backward that are there only if they are wanted.
class Wanted {
 public:
  Wanted(const char* op, Dtype dtype) : op_(op), dtype_(dtype) {}

  template <class T>
  T* make(bool wanted, ptrdiff_t first, ptrdiff_t second = -1) {
    if (!wanted) {
      made_.append(py::none());
      return nullptr;
    }
    const ptrdiff_t shape[2] = {first, second};
    Result r = result(op_, py::none(), dtype_, shape, second < 0 ? 1 : 2);
    made_.append(std::move(r.object));
    return r.operand.as<T>();
  }
  void put(py::object object) { made_.append(std::move(object)); }
  py::tuple tuple() const { return py::tuple(made_); }

 private:
  const char* op_;
  Dtype dtype_;
  py::list made_;
};

struct Parts {
  bool dx, dweights, dstates;
};

// The gradients that came, and what forward left.
struct Arrived {
  py::handle dy, dh_n, dc_n, y, kept;
};

// A matrix of shape_of(output) as rows, copied where it lies otherwise.
template <class T>
Rows<const T> rows_from(LayerArguments& a, const char* op, const char* name, py::handle array) {
  ptrdiff_t shape[3];
  const int rank = a.shape_of(a.output(), shape);
  const Operand o = read(array, op, name);
  same_dtype(op, name, a.x(), o);
  expect_shape(op, name, o, shape, rank);
  Rows<const T> rows;
  if (LayerArguments::rows_of(o, &rows)) return rows;
  return {a.dense(name, array, shape, rank).template as<const T>(), a.output()};
}

template <class T>
RnnLayer<T> layer_from(LayerArguments& a, const char* op, Cell cell, const Arrived& given) {
  const Rows<const T> y = rows_from<T>(a, op, "y", given.y);
  Rows<T> kept{nullptr, 0};
  const ptrdiff_t columns = kept_columns<T>(cell, a.hidden(), a.projected());
  if (columns > 0)
    kept = {a.dense("kept", given.kept, {a.rows(), columns}).template as<T>(), columns};
  // Backward only reads y and what was kept.
  return a.of<T>({const_cast<T*>(y.data), y.row}, kept);
}

template <class T>
RnnGradients<T> gradients_from(LayerArguments& a, const char* op, const Arrived& given) {
  RnnGradients<T> g{};
  if (!given.dy.is_none()) g.dy = rows_from<T>(a, op, "dy", given.dy);
  if (!given.dh_n.is_none())
    g.dh_n = a.dense("dh_n", given.dh_n, {a.batch(), a.output()}).template as<const T>();
  if (!given.dc_n.is_none())
    g.dc_n = a.dense("dc_n", given.dc_n, {a.batch(), a.hidden()}).template as<const T>();
  return g;
}

// dx, added to `out` if beta is 1.
Result dx_result(const LayerArguments& a, const char* op, double beta, py::handle out) {
  ptrdiff_t shape[3];
  const int rank = a.shape_of(a.input(), shape);
  if (beta != 0 && beta != 1) fail(op, "beta", "0 or 1", std::to_string(beta));
  if (beta != 0 && out.is_none()) fail(op, "beta", "0 where no `out` is given", "1");
  Result dx = result(op, out, a.dtype(), shape, rank);
  if (beta != 0 && !is_c_order(dx.operand)) fail(op, "out", "an array in C order", "a strided one");
  return dx;
}

template <class T>
py::tuple backward(const char* op, Cell cell, LayerArguments& a, const Arrived& given,
                   const Parts& parts, double beta, py::handle out) {
  const ptrdiff_t n = a.batch(), h = a.hidden(), p = a.output(), gates = gate_count(cell) * h;
  const RnnLayer<T> layer = layer_from<T>(a, op, cell, given);
  RnnGradients<T> g = gradients_from<T>(a, op, given);
  Wanted made(op, a.dtype());
  Result dx;
  if (parts.dx) dx = dx_result(a, op, beta, out);
  const bool direct = !parts.dx || is_c_order(dx.operand);
  Workspace<T> space(direct ? 0 : size_t(a.rows()) * size_t(a.input()));
  if (parts.dx) g.dx = direct ? dx.operand.template as<T>() : space.data();
  g.dx_beta = T(beta);
  made.put(parts.dx ? dx.object : py::none());
  g.dw_ih = made.make<T>(parts.dweights, gates, a.input());
  g.dw_hh = made.make<T>(parts.dweights, gates, p);
  g.db_ih = made.make<T>(parts.dweights && a.has_bias(), gates);
  g.db_hh = made.make<T>(parts.dweights && a.has_bias(), gates);
  g.dw_hr = made.make<T>(parts.dweights && a.projected(), p, h);
  g.dh0 = made.make<T>(parts.dstates && a.has_h0(), n, p);
  g.dc0 = made.make<T>(parts.dstates && a.has_c0(), n, h);
  {
    ReleaseGil release(2 * a.nanoseconds());
    rnn_backward(layer, g);
    if (!direct) scatter(space.data(), dx.operand);
  }
  return made.tuple();
}

py::tuple backward_binding(const std::string& cell_name, py::handle dy, py::handle dh_n,
                           py::handle dc_n, py::handle x, py::handle y, py::handle kept,
                           py::handle w_ih, py::handle w_hh, py::handle b_ih, py::handle b_hh,
                           py::handle w_hr, py::handle h0, py::handle c0, py::handle batch_sizes,
                           bool reverse, bool dx, bool dweights, bool dstates, double beta,
                           py::handle out) {
  const Cell cell = cell_of(cell_name);
  const std::string op = std::string(kCells[int(cell)]) + "_backward";
  LayerArguments a(op.c_str(), cell, {x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes},
                   reverse);
  py::tuple made;
  dispatch(a.dtype(), [&](auto* t) {
    using T = pointee<decltype(t)>;
    made = backward<T>(op.c_str(), cell, a, {dy, dh_n, dc_n, y, kept}, {dx, dweights, dstates},
                       beta, out);
  });
  return made;
}

}  // namespace

void bind_lstm(py::module_& m) {
  auto none = py::none();
  m.def("rnn_forward", &forward_binding, py::arg("cell"), py::arg("x"), py::arg("w_ih"),
        py::arg("w_hh"), py::arg("b_ih") = none, py::arg("b_hh") = none, py::arg("w_hr") = none,
        py::arg("h0") = none, py::arg("c0") = none, py::arg("batch_sizes") = none,
        py::arg("reverse") = false, py::arg("keep") = false, py::arg("out") = none,
        "(y, h_n, c_n or None, kept or None) of one layer in one direction over a sequence.");
  m.def("rnn_backward", &backward_binding, py::arg("cell"), py::arg("dy"), py::arg("dh_n"),
        py::arg("dc_n"), py::arg("x"), py::arg("y"), py::arg("kept"), py::arg("w_ih"),
        py::arg("w_hh"), py::arg("b_ih") = none, py::arg("b_hh") = none, py::arg("w_hr") = none,
        py::arg("h0") = none, py::arg("c0") = none, py::arg("batch_sizes") = none,
        py::arg("reverse") = false, py::arg("dx") = true, py::arg("dweights") = true,
        py::arg("dstates") = true, py::arg("beta") = 0.0, py::arg("out") = none,
        "(dx, dw_ih, dw_hh, db_ih, db_hh, dw_hr, dh0, dc0) of rnn_forward, None where there is "
        "none; dx = beta * out + its gradient.");
}

}  // namespace striate
