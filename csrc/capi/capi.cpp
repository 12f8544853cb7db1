// SPDX-License-Identifier: Apache-2.0
#include "capi/capi.h"

#include <cstdio>
#include <new>

#include "core/isa.h"
#include "core/threads.h"

namespace striate::capi {
namespace {

thread_local char last_error[1024] = "";

Dtype dtype_of_code(const char* op, const char* argument, striate_dtype code) {
  if (code == STRIATE_FLOAT32) return Dtype::f32;
  if (code == STRIATE_FLOAT64) return Dtype::f64;
  fail(op, argument, "dtype STRIATE_FLOAT32 or STRIATE_FLOAT64", std::to_string(code));
}

}  // namespace

void set_error(const char* message) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s", message);
}

striate_status status_of_exception() noexcept {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    set_error("out of memory");
    return STRIATE_OUT_OF_MEMORY;
  } catch (const std::invalid_argument& e) {
    set_error(e.what());
    return STRIATE_INVALID_ARGUMENT;
  } catch (const std::out_of_range& e) {
    set_error(e.what());
    return STRIATE_INVALID_ARGUMENT;
  } catch (const TypeMismatch& e) {
    set_error(e.what());
    return STRIATE_INVALID_ARGUMENT;
  } catch (const std::exception& e) {
    set_error(e.what());
    return STRIATE_FAILED;
  } catch (...) {
    set_error("unknown error");
    return STRIATE_FAILED;
  }
}

Operand read(const char* op, const char* argument, const striate_tensor* t) {
  given(op, argument, t);
  if (t->rank < 0 || t->rank > STRIATE_MAX_RANK)
    fail(op, argument, "a rank of 0 to 8", std::to_string(t->rank));
  Operand x{t->data, dtype_of_code(op, argument, t->dtype), t->rank, {}, {}};
  for (int i = 0; i < x.rank; ++i) x.shape[i] = t->shape[i], x.stride[i] = t->strides[i];
  ptrdiff_t size = checked_product(op, argument, x.shape, x.rank);
  if (x.data == nullptr && size != 0) fail(op, argument, "data", "null");
  if (reinterpret_cast<uintptr_t>(x.data) % item_size(x.dtype) != 0)
    fail(op, argument, "data aligned to its elements", "a pointer that is not");
  return x;
}

Operand written(const char* op, const char* argument, const striate_tensor* t) {
  Operand x = read(op, argument, t);
  for (int i = 0; i < x.rank; ++i)
    if (x.stride[i] == 0 && x.shape[i] > 1 && x.size() > 0)
      fail(op, argument, "strides other than 0 in a result",
           "stride 0 along an axis of " + x.text());
  return x;
}

Operand images(const char* op, const char* argument, const Operand& x) {
  if (x.rank != 4) fail(op, argument, "rank 4 (N, C, H, W)", "shape " + x.text());
  return x;
}

Input::Input(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
             const ptrdiff_t* shape, int rank, Null null) {
  if (t == nullptr && null == Null::allowed) return;
  Operand x = read(op, argument, t);
  same_dtype(op, argument, like, x);
  expect_shape(op, argument, x, shape, rank);
  dense_.emplace(x);
}

Output::Output(const char* op, const char* argument, const striate_tensor* t, const Operand& like,
               const ptrdiff_t* shape, int rank, Null null, Before before) {
  if (t == nullptr && null == Null::allowed) return;
  Operand x = written(op, argument, t);
  same_dtype(op, argument, like, x);
  expect_shape(op, argument, x, shape, rank);
  dense_.emplace(x);
  if (before == Before::kept && dense_->data() != x.data) copy(x, dense_->operand());
}

Operand written_like(const char* op, const char* argument, const striate_tensor* t,
                     const Operand& like) {
  Operand x = written(op, argument, t);
  same_dtype(op, argument, like, x);
  expect_shape(op, argument, x, like.shape, like.rank);
  return x;
}

Operand read_like(const char* op, const char* argument, const striate_tensor* t,
                  const Operand& like) {
  Operand x = read(op, argument, t);
  same_dtype(op, argument, like, x);
  expect_shape(op, argument, x, like.shape, like.rank);
  return x;
}

Indices indices(const char* op, const char* argument, const int64_t* data, const ptrdiff_t* shape,
                int rank) {
  Indices made{data, rank, {}, checked_product(op, argument, shape, rank)};
  for (int i = 0; i < rank; ++i) made.shape[i] = shape[i];
  if (data == nullptr && made.size != 0) fail(op, argument, "a pointer", "null");
  return made;
}

}  // namespace striate::capi

using namespace striate;

extern "C" {

int32_t striate_api(void) { return STRIATE_API; }

const char* striate_version(void) { return STRIATE_VERSION; }

const char* striate_last_error(void) { return capi::last_error; }

const char* striate_isa(void) {
  const char* name = nullptr;
  capi::guarded([&] { name = isa_name(isa_cap()); });
  return name;
}

int32_t striate_num_threads(void) {
  int32_t count = 1;
  capi::guarded([&] { count = num_threads(); });
  return count;
}

striate_status striate_set_num_threads(int32_t count) {
  return capi::guarded([&] { set_num_threads(count); });
}

}  // extern "C"
