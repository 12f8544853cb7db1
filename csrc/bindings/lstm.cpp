// SPDX-License-Identifier: Apache-2.0
#include "ops/lstm/problem.h"

#include <initializer_list>
#include <vector>

#include "bindings/array.h"
#include "core/memory.h"
#include "ops/layout/layout.h"

namespace striate {
namespace {

// The arrays of a layer as Python gives them.
struct Arguments {
  py::handle x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes;
};

// A layer's problem, and what its operands need to stay alive.
class LayerArguments : public RnnProblem {
 public:
  LayerArguments(const char* op, Cell cell, const Arguments& a, bool reverse)
      : LayerArguments(op, cell, a, reverse, {}) {}

  // An operand of this shape in C order; held until the end of the call.
  Operand dense(const char* name, py::handle array, const ptrdiff_t* shape, int rank) {
    Operand o = hold(held_, op(), name, array);
    same_dtype(op(), name, operands().x, o);
    expect_shape(op(), name, o, shape, rank);
    return o;
  }
  Operand dense(const char* name, py::handle array, std::initializer_list<ptrdiff_t> shape) {
    return dense(name, array, shape.begin(), int(shape.size()));
  }

 private:
  using Held = std::vector<py::object>;

  LayerArguments(const char* op, Cell cell, const Arguments& a, bool reverse, Held held)
      : RnnProblem(op, cell, reverse ? Direction::reverse : Direction::forward,
                   read_all(op, a, held)),
        held_(std::move(held)) {}

  static Operand hold(Held& held, const char* op, const char* name, py::handle array) {
    held.push_back(c_contiguous(array, op, name));
    return read(held.back(), op, name);
  }
  static RnnOperands read_all(const char* op, const Arguments& a, Held& held) {
    auto maybe = [&](const char* name, py::handle array) {
      return array.is_none() ? std::nullopt : std::optional(hold(held, op, name, array));
    };
    RnnOperands o{hold(held, op, "x", a.x),
                  hold(held, op, "w_ih", a.w_ih),
                  hold(held, op, "w_hh", a.w_hh),
                  maybe("b_ih", a.b_ih),
                  maybe("b_hh", a.b_hh),
                  maybe("w_hr", a.w_hr),
                  maybe("h0", a.h0),
                  maybe("c0", a.c0),
                  std::nullopt};
    if (!a.batch_sizes.is_none()) o.batch_sizes = read_indices(a.batch_sizes, op, "batch_sizes");
    return o;
  }

  Held held_;
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
  const Cell cell = cell_by_name(cell_name.c_str());
  const char* op = striate::cell_name(cell);
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
    const ptrdiff_t columns[2] = {a.rows(), a.kept()};
    if (keep && columns[1] > 0) {
      Result r = result(op, py::none(), a.dtype(), columns, 2);
      kept = {r.operand.template as<T>(), columns[1]}, kept_object = std::move(r.object);
    }
    const bool direct = as_rows(y.operand, &rows);
    Workspace<T> space(direct ? 0 : size_t(a.rows()) * size_t(a.output()));
    if (!direct) rows = {space.data(), a.output()};
    ReleaseGil release(a.nanoseconds());
    rnn_forward(a.layer<T>(rows, kept), h_n.operand.as<T>(), c_n);
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
  same_dtype(op, name, a.operands().x, o);
  expect_shape(op, name, o, shape, rank);
  Rows<const T> rows;
  if (as_rows(o, &rows)) return rows;
  return {a.dense(name, array, shape, rank).template as<const T>(), a.output()};
}

template <class T>
RnnLayer<T> layer_from(LayerArguments& a, const char* op, const Arrived& given) {
  const Rows<const T> y = rows_from<T>(a, op, "y", given.y);
  Rows<T> kept{nullptr, 0};
  const ptrdiff_t columns = a.kept();
  if (columns > 0)
    kept = {a.dense("kept", given.kept, {a.rows(), columns}).template as<T>(), columns};
  // Backward only reads y and what was kept.
  return a.layer<T>({const_cast<T*>(y.data), y.row}, kept);
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
py::tuple backward(const char* op, LayerArguments& a, const Arrived& given, const Parts& parts,
                   double beta, py::handle out) {
  const ptrdiff_t n = a.batch(), h = a.hidden(), p = a.output(), gates = a.gates();
  const RnnOperands& o = a.operands();
  const RnnLayer<T> layer = layer_from<T>(a, op, given);
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
  g.db_ih = made.make<T>(parts.dweights && o.b_ih.has_value(), gates);
  g.db_hh = made.make<T>(parts.dweights && o.b_ih.has_value(), gates);
  g.dw_hr = made.make<T>(parts.dweights && o.w_hr.has_value(), p, h);
  g.dh0 = made.make<T>(parts.dstates && o.h0.has_value(), n, p);
  g.dc0 = made.make<T>(parts.dstates && o.c0.has_value(), n, h);
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
  const Cell cell = cell_by_name(cell_name.c_str());
  const std::string op = std::string(striate::cell_name(cell)) + "_backward";
  LayerArguments a(op.c_str(), cell, {x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes},
                   reverse);
  py::tuple made;
  dispatch(a.dtype(), [&](auto* t) {
    using T = pointee<decltype(t)>;
    made =
        backward<T>(op.c_str(), a, {dy, dh_n, dc_n, y, kept}, {dx, dweights, dstates}, beta, out);
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
