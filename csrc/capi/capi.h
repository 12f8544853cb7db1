// SPDX-License-Identifier: Apache-2.0
// What the C entry points share: errors that become a status, and tensors that become operands.
#pragma once
#include <optional>

#include "core/indices.h"
#include "include/striate.h"
#include "ops/gemm/problem.h"
#include "ops/layout/dense.h"

namespace striate::capi {

// Keeps the message for striate_last_error, cut to a fixed size so that this can't fail.
void set_error(const char* message) noexcept;
// The status for the exception that is being handled, its message kept.
striate_status status_of_exception() noexcept;

template <class F>
striate_status guarded(F&& f) noexcept {
  try {
    f();
    set_error("");
    return STRIATE_OK;
  } catch (...) {
    return status_of_exception();
  }
}

// A tensor as an operand, or std::invalid_argument. `written` also refuses elements that share
// memory because of a stride of 0.
Operand read(const char* op, const char* argument, const striate_tensor* t);
Operand written(const char* op, const char* argument, const striate_tensor* t);
Operand images(const char* op, const char* argument, const Operand& x);  // checks rank 4

template <class P>
const P& given(const char* op, const char* argument, const P* p) {
  if (p == nullptr) fail(op, argument, "a pointer", "null");
  return *p;
}

enum class Null { refused, allowed };

// An operand of this dtype and shape in C order: where it lies, or a copy. Without a tensor there
// is no data, where that is allowed.
class Input {
 public:
  Input(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
        const ptrdiff_t* shape, int rank, Null null);
  Input(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
        std::initializer_list<ptrdiff_t> shape, Null null)
      : Input(op, argument, t, like, shape.begin(), int(shape.size()), null) {}
  const void* data() const { return dense_ ? dense_->data() : nullptr; }
  template <class T>
  const T* as() const {
    return static_cast<const T*>(data());
  }
  std::optional<Operand> operand() const {
    return dense_ ? std::optional(dense_->operand()) : std::nullopt;
  }

 private:
  std::optional<DenseInput> dense_;
};

// Likewise a result; finish() puts it where it belongs. An array that is read as well, such as a
// running mean, begins with what it holds.
enum class Before { ignored, kept };
class Output {
 public:
  Output(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
         const ptrdiff_t* shape, int rank, Null null, Before before = Before::ignored);
  Output(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
         std::initializer_list<ptrdiff_t> shape, Null null, Before before = Before::ignored)
      : Output(op, argument, t, like, shape.begin(), int(shape.size()), null, before) {}
  void* data() const { return dense_ ? dense_->data() : nullptr; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data());
  }
  const Operand& operand() const { return dense_->operand(); }  // where there is one
  void finish() const {
    if (dense_) dense_->finish();
  }

 private:
  std::optional<DenseOutput> dense_;
};

// A result of the shape and dtype of `like`, of any strides.
Operand written_like(const char* op, const char* argument, const striate_tensor* t,
                     const Operand& like);
// Another operand of the shape and dtype of `like`.
Operand read_like(const char* op, const char* argument, const striate_tensor* t,
                  const Operand& like);

// Integers in C order of this shape; null only for none.
Indices indices(const char* op, const char* argument, const int64_t* data, const ptrdiff_t* shape,
                int rank);

// The bias of an epilogue for results of `columns` columns, and the epilogue with it.
inline Input bias_of(const char* op, const striate_epilogue* e, const Operand& like,
                     ptrdiff_t columns) {
  return {op, "bias", e ? e->bias : nullptr, like, {columns}, Null::allowed};
}
template <class T>
Epilogue<T> epilogue_of(const striate_epilogue* e, const Input& bias) {
  Epilogue<T> made;
  if (e == nullptr) return made;
  if (bias.data()) made.bias = bias.as<T>(), made.bias_axis = BiasAxis::column;
  if (e->activation == nullptr) return made;
  set_activation(made, activation_by_name(e->activation), {e->parameter[0], e->parameter[1]});
  return made;
}

}  // namespace striate::capi
