// SPDX-License-Identifier: Apache-2.0
// Recurrent layers.
#include "capi/capi.h"
#include "ops/lstm/problem.h"

using namespace striate;
using capi::Input;
using capi::Null;
using capi::Output;

namespace {

// A layer's operands in C order, and the problem that they make. x (N, I) is one step.
class Layer {
 public:
  Layer(const char* op, const striate_rnn* given, const striate_tensor* x, const striate_tensor* h0,
        const striate_tensor* c0)
      : given_(capi::given(op, "p", given)),
        x_(capi::read(op, "x", x)),
        w_ih_(capi::read(op, "w_ih", given_.w_ih)),
        w_hh_(capi::read(op, "w_hh", given_.w_hh)),
        b_ih_(op, "b_ih", given_.b_ih),
        b_hh_(op, "b_hh", given_.b_hh),
        w_hr_(op, "w_hr", given_.w_hr),
        h0_(op, "h0", h0),
        c0_(op, "c0", c0),
        problem_(op, cell_by_name(&capi::given(op, "cell", given_.cell)),
                 given_.reverse ? Direction::reverse : Direction::forward, operands(op)) {}

  const RnnProblem& problem() const { return problem_; }
  // The shape of y, or of dx, for `last` values a row; returns the rank, which is x's.
  int shape_of(ptrdiff_t last, ptrdiff_t* shape) const {
    const Operand& x = x_.operand();
    for (int i = 0; i < x.rank; ++i) shape[i] = x.shape[i];
    shape[x.rank - 1] = last;
    return x.rank;
  }
  const Operand& x() const { return x_.operand(); }

 private:
  // A DenseInput of any shape, which the problem checks; or nothing.
  struct Maybe {
    std::optional<DenseInput> dense;
    Maybe(const char* op, const char* argument, const striate_tensor* t) {
      if (t != nullptr) dense.emplace(capi::read(op, argument, t));
    }
    std::optional<Operand> operand() const {
      return dense ? std::optional(dense->operand()) : std::nullopt;
    }
  };

  RnnOperands operands(const char* op) const {
    RnnOperands o{x_.operand(),    w_ih_.operand(), w_hh_.operand(),
                  b_ih_.operand(), b_hh_.operand(), w_hr_.operand(),
                  h0_.operand(),   c0_.operand(),   std::nullopt};
    const ptrdiff_t steps = given_.steps;
    if (given_.batch_sizes != nullptr)
      o.batch_sizes = capi::indices(op, "batch_sizes", given_.batch_sizes, &steps, 1);
    else if (o.x.rank == 2)
      o.x = one_step(o.x);
    return o;
  }
  static Operand one_step(Operand x) {
    x.rank = 3;
    x.shape[2] = x.shape[1], x.shape[1] = x.shape[0], x.shape[0] = 1;
    c_order(x.shape, 3, x.stride);
    return x;
  }

  const striate_rnn& given_;
  DenseInput x_, w_ih_, w_hh_;
  Maybe b_ih_, b_hh_, w_hr_, h0_, c0_;
  RnnProblem problem_;
};

template <class T>
void backward(const RnnProblem& p, const Input& y, const Input& kept, RnnGradients<T> g) {
  const Rows<T> rows{const_cast<T*>(y.as<T>()), p.output()};  // backward only reads them
  rnn_backward(p.layer<T>(rows, {const_cast<T*>(kept.as<T>()), p.kept()}), g);
}

}  // namespace

extern "C" {

striate_status striate_rnn_kept_size(const striate_rnn* p, const striate_tensor* x,
                                     int64_t size[2]) {
  return capi::guarded([&] {
    const Layer layer("rnn_kept_size", p, x, nullptr, nullptr);
    capi::given("rnn_kept_size", "size", size);
    size[0] = layer.problem().rows(), size[1] = layer.problem().kept();
  });
}

striate_status striate_rnn_forward(const striate_rnn* given, const striate_tensor* x,
                                   const striate_tensor* h0, const striate_tensor* c0,
                                   const striate_tensor* y, const striate_tensor* h_n,
                                   const striate_tensor* c_n, const striate_tensor* kept) {
  return capi::guarded([&] {
    const char* op = "rnn_forward";
    const Layer layer(op, given, x, h0, c0);
    const RnnProblem& p = layer.problem();
    ptrdiff_t shape[3];
    const int rank = layer.shape_of(p.output(), shape);
    const Output out(op, "y", y, layer.x(), shape, rank, Null::refused);
    const Output h(op, "h_n", h_n, layer.x(), {p.batch(), p.output()}, Null::allowed);
    if (c_n != nullptr && p.cell() != Cell::lstm)
      fail(op, "c_n", "null: only an lstm has one", "a tensor");
    const Output c(op, "c_n", c_n, layer.x(), {p.batch(), p.hidden()}, Null::allowed);
    const Output keep(op, "kept", kept, layer.x(), {p.rows(), p.kept()}, Null::allowed);
    dispatch(p.dtype(), [&](auto* t) {
      using T = pointee<decltype(t)>;
      Rows<T> rows{nullptr, 0};
      if (p.kept() > 0) rows = {keep.as<T>(), p.kept()};
      rnn_forward(p.layer<T>({out.as<T>(), p.output()}, rows), h.as<T>(), c.as<T>());
    });
    for (const Output* made : {&out, &h, &c, &keep}) made->finish();
  });
}

striate_status striate_rnn_backward(const striate_rnn* given, const striate_tensor* x,
                                    const striate_tensor* h0, const striate_tensor* c0,
                                    const striate_tensor* y_tensor, const striate_tensor* kept,
                                    const striate_rnn_gradients* gradients) {
  return capi::guarded([&] {
    const char* op = "rnn_backward";
    const Layer layer(op, given, x, h0, c0);
    const RnnProblem& p = layer.problem();
    const striate_rnn_gradients& g = capi::given(op, "gradients", gradients);
    const Operand& like = layer.x();
    const ptrdiff_t n = p.batch(), h = p.hidden(), out = p.output(), gates = p.gates();
    auto null_unless = [&](bool there, const striate_tensor* t, const char* argument) {
      if (!there && t != nullptr) fail(op, argument, "null: the layer has none", "a tensor");
      return t;
    };
    ptrdiff_t y_shape[3], x_shape[3];
    const int rank = layer.shape_of(out, y_shape);
    layer.shape_of(p.input(), x_shape);
    const Input y(op, "y", y_tensor, like, y_shape, rank, Null::refused);
    const Input keep(op, "kept", kept, like, {p.rows(), p.kept()},
                     p.kept() > 0 ? Null::refused : Null::allowed);
    const Input dy(op, "dy", g.dy, like, y_shape, rank, Null::allowed);
    const Input dh_n(op, "dh_n", g.dh_n, like, {n, out}, Null::allowed);
    const bool lstm = p.cell() == Cell::lstm;
    const Input dc_n(op, "dc_n", null_unless(lstm, g.dc_n, "dc_n"), like, {n, h}, Null::allowed);
    const RnnOperands& o = p.operands();
    const bool bias = o.b_ih.has_value(), projected = o.w_hr.has_value();
    const Output dx(op, "dx", g.dx, like, x_shape, rank, Null::allowed);
    const Output dw_ih(op, "dw_ih", g.dw_ih, like, {gates, p.input()}, Null::allowed);
    const Output dw_hh(op, "dw_hh", g.dw_hh, like, {gates, out}, Null::allowed);
    const Output db_ih(op, "db_ih", null_unless(bias, g.db_ih, "db_ih"), like, {gates},
                       Null::allowed);
    const Output db_hh(op, "db_hh", null_unless(bias, g.db_hh, "db_hh"), like, {gates},
                       Null::allowed);
    const Output dw_hr(op, "dw_hr", null_unless(projected, g.dw_hr, "dw_hr"), like, {out, h},
                       Null::allowed);
    const Output dh0(op, "dh0", g.dh0, like, {n, out}, Null::allowed);
    const Output dc0(op, "dc0", null_unless(lstm, g.dc0, "dc0"), like, {n, h}, Null::allowed);
    dispatch(p.dtype(), [&](auto* t) {
      using T = pointee<decltype(t)>;
      backward<T>(p, y, keep,
                  {{dy.as<T>(), out},
                   dh_n.as<T>(),
                   dc_n.as<T>(),
                   dx.as<T>(),
                   T(0),
                   dw_ih.as<T>(),
                   dw_hh.as<T>(),
                   db_ih.as<T>(),
                   db_hh.as<T>(),
                   dw_hr.as<T>(),
                   dh0.as<T>(),
                   dc0.as<T>()});
    });
    for (const Output* made : {&dx, &dw_ih, &dw_hh, &db_ih, &db_hh, &dw_hr, &dh0, &dc0})
      made->finish();
  });
}

}  // extern "C"
