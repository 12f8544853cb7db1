// SPDX-License-Identifier: Apache-2.0
#include "ops/lstm/problem.h"

#include <initializer_list>
#include <vector>

#include "bindings/device_array.h"
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
    same_place(op(), "x", operands().x, name, o);
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
    return read(held.back(), op, name, Places::any);
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

// A matrix in the place of a layer's operands.
Result matrix_for(const LayerArguments& a, ptrdiff_t rows, ptrdiff_t columns) {
  const ptrdiff_t shape[2] = {rows, columns};
  return result(a.op(), py::none(), a.dtype(), shape, 2, a.device());
}

// --- on a GPU ------------------------------------------------------------------------------------

// A state [N, columns] that begins as `from`, or as zeros.
Result state_on_device(const LayerArguments& a, ptrdiff_t columns, py::handle from) {
  Result state = matrix_for(a, a.batch(), columns);
  if (from.is_none())
    state.object.attr("fill")(0);
  else
    state.object.attr("__setitem__")(py::ellipsis(), from);
  return state;
}

template <class T>
py::tuple forward_on_device(LayerArguments& a, py::handle h0, py::handle c0, bool keep,
                            py::handle out) {
  ptrdiff_t shape[3];
  const int rank = a.shape_of(a.output(), shape);
  const Result y = result(a.op(), out, a.dtype(), shape, rank, a.device());
  Rows<T> rows, kept{nullptr, 0};
  Result dense = y;
  if (!as_rows(y.operand, &rows)) {
    dense = result(a.op(), py::none(), a.dtype(), shape, rank, a.device());
    rows = {dense.operand.as<T>(), a.output()};
  }
  const Result h_n = matrix_for(a, a.batch(), a.output());
  Result c_n{py::none(), {}}, held{py::none(), {}}, before{py::none(), {}};
  if (a.cell() == Cell::lstm) c_n = state_on_device(a, a.hidden(), c0);
  if (keep && a.kept() > 0) {
    held = matrix_for(a, a.rows(), a.kept());
    kept = {held.operand.as<T>(), a.kept()};
  }
  RnnLayer<T> layer = a.layer<T>(rows, kept);
  if (layer.h0 == nullptr) {
    before = state_on_device(a, a.output(), h0);
    layer.h0 = before.operand.as<T>();
  }
  const Result space = matrix_for(a, 1, rnn_forward_space(layer));
  on_stream(a.device(), [&](const cuda::Stream& stream) {
    rnn_forward_launch(stream, layer, h_n.operand.as<T>(), c_n.operand.as<T>(),
                       space.operand.as<T>());
  });
  if (!dense.object.is(y.object)) y.object.attr("__setitem__")(py::ellipsis(), dense.object);
  return py::make_tuple(y.object, h_n.object, c_n.object, held.object);
}

// --- forward -------------------------------------------------------------------------------------

py::tuple forward_binding(const std::string& cell_name, py::handle x, py::handle w_ih,
                          py::handle w_hh, py::handle b_ih, py::handle b_hh, py::handle w_hr,
                          py::handle h0, py::handle c0, py::handle batch_sizes, bool reverse,
                          bool keep, py::handle out) {
  const Cell cell = cell_by_name(cell_name.c_str());
  const char* op = striate::cell_name(cell);
  LayerArguments a(op, cell, {x, w_ih, w_hh, b_ih, b_hh, w_hr, h0, c0, batch_sizes}, reverse);
  if (a.device() != kCpu) {
    const auto run = a.dtype() == Dtype::f64 ? forward_on_device<double> : forward_on_device<float>;
    return run(a, h0, c0, keep, out);
  }
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
  Wanted(const char* op, const LayerArguments& a)
      : op_(op), dtype_(a.dtype()), device_(a.device()) {}

  template <class T>
  T* make(bool wanted, ptrdiff_t first, ptrdiff_t second = -1) {
    if (!wanted) {
      made_.append(py::none());
      return nullptr;
    }
    const ptrdiff_t shape[2] = {first, second};
    Result r = result(op_, py::none(), dtype_, shape, second < 0 ? 1 : 2, device_);
    made_.append(std::move(r.object));
    return r.operand.as<T>();
  }
  void put(py::object object) { made_.append(std::move(object)); }
  py::tuple tuple() const { return py::tuple(made_); }

 private:
  const char* op_;
  Dtype dtype_;
  int device_;
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
  const Operand o = read(array, op, name, Places::any);
  same_dtype(op, name, a.operands().x, o);
  same_place(op, "x", a.operands().x, name, o);
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
  Result dx = result(op, out, a.dtype(), shape, rank, a.device());
  if (beta != 0 && !is_c_order(dx.operand)) fail(op, "out", "an array in C order", "a strided one");
  return dx;
}

// The gradients of weights and biases that are wanted.
template <class T>
void make_weights(const LayerArguments& a, bool wanted, Wanted& made, RnnGradients<T>& g) {
  const RnnOperands& o = a.operands();
  g.dw_ih = made.make<T>(wanted, a.gates(), a.input());
  g.dw_hh = made.make<T>(wanted, a.gates(), a.output());
  g.db_ih = made.make<T>(wanted && o.b_ih.has_value(), a.gates());
  g.db_hh = made.make<T>(wanted && o.b_ih.has_value(), a.gates());
  g.dw_hr = made.make<T>(wanted && o.w_hr.has_value(), a.output(), a.hidden());
}

template <class T>
py::tuple backward(const char* op, LayerArguments& a, const Arrived& given, const Parts& parts,
                   double beta, py::handle out) {
  const ptrdiff_t n = a.batch(), h = a.hidden(), p = a.output();
  const RnnOperands& o = a.operands();
  const RnnLayer<T> layer = layer_from<T>(a, op, given);
  RnnGradients<T> g = gradients_from<T>(a, op, given);
  Wanted made(op, a);
  Result dx;
  if (parts.dx) dx = dx_result(a, op, beta, out);
  const bool direct = !parts.dx || is_c_order(dx.operand);
  Workspace<T> space(direct ? 0 : size_t(a.rows()) * size_t(a.input()));
  if (parts.dx) g.dx = direct ? dx.operand.template as<T>() : space.data();
  g.dx_beta = T(beta);
  made.put(parts.dx ? dx.object : py::none());
  make_weights(a, parts.dweights, made, g);
  g.dh0 = made.make<T>(parts.dstates && o.h0.has_value(), n, p);
  g.dc0 = made.make<T>(parts.dstates && o.c0.has_value(), n, h);
  {
    ReleaseGil release(2 * a.nanoseconds());
    rnn_backward(layer, g);
    if (!direct) scatter(space.data(), dx.operand);
  }
  return made.tuple();
}

template <class T>
py::tuple backward_on_device(const char* op, LayerArguments& a, const Arrived& given,
                             const Parts& parts, double beta, py::handle out) {
  const RnnOperands& o = a.operands();
  RnnLayer<T> layer = layer_from<T>(a, op, given);
  RnnGradients<T> g = gradients_from<T>(a, op, given);
  Wanted made(op, a);
  Result dx, dense, before, dc{py::none(), {}};
  if (parts.dx) {
    dense = dx = dx_result(a, op, beta, out);
    if (!is_c_order(dx.operand))
      dense = result(op, py::none(), a.dtype(), dx.operand.shape, dx.operand.rank, a.device());
    g.dx = dense.operand.as<T>();
  }
  g.dx_beta = T(beta);
  made.put(parts.dx ? dx.object : py::none());
  make_weights(a, parts.dweights, made, g);
  const Result dh = state_on_device(a, a.output(), given.dh_n);
  g.dh0 = dh.operand.as<T>();
  if (a.cell() == Cell::lstm) {
    dc = state_on_device(a, a.hidden(), given.dc_n);
    g.dc0 = dc.operand.as<T>();
  }
  made.put(parts.dstates && o.h0 ? dh.object : py::none());
  made.put(parts.dstates && o.c0 ? dc.object : py::none());
  if (layer.h0 == nullptr) {
    before = state_on_device(a, a.output(), py::none());
    layer.h0 = before.operand.as<T>();
  }
  const Result space = matrix_for(a, 1, rnn_backward_space(layer, g));
  on_stream(a.device(), [&](const cuda::Stream& stream) {
    rnn_backward_launch(stream, layer, g, space.operand.as<T>());
  });
  if (!dense.object.is(dx.object)) dx.object.attr("__setitem__")(py::ellipsis(), dense.object);
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
  const Arrived given{dy, dh_n, dc_n, y, kept};
  const Parts parts{dx, dweights, dstates};
  py::tuple made;
  dispatch(a.dtype(), [&](auto* t) {
    using T = pointee<decltype(t)>;
    const auto run = a.device() == kCpu ? backward<T> : backward_on_device<T>;
    made = run(op.c_str(), a, given, parts, beta, out);
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
