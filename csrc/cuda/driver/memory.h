// SPDX-License-Identifier: Apache-2.0
// Memory of a device for a driver's own use. Arrays are CuPy's, and come from its pool.
#pragma once
#include "cuda/driver/stream.h"

namespace striate::cuda {

// Uninitialised, gone at the end of the scope. Throws OutOfDeviceMemory, which says how much was
// wanted, for what, and how much there is. Its device must be the thread's (OnDevice).
template <class T>
class DeviceMemory {
 public:
  DeviceMemory(size_t count, const char* what);
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  T* data() const { return data_; }
  void copy_from(const T* host, const Stream& stream);
  void copy_to(T* host, const Stream& stream) const;  // there once the stream is synchronised

 private:
  T* data_;
  size_t count_;
};

namespace detail {
void* allocate(size_t count, size_t bytes_each, const char* what);
void free(void* device) noexcept;
void upload(void* device, const void* host, size_t bytes, const Stream& stream);
void download(void* host, const void* device, size_t bytes, const Stream& stream);
}  // namespace detail

template <class T>
DeviceMemory<T>::DeviceMemory(size_t count, const char* what)
    : data_(static_cast<T*>(detail::allocate(count, sizeof(T), what))), count_(count) {}

template <class T>
DeviceMemory<T>::~DeviceMemory() {
  detail::free(data_);
}

template <class T>
void DeviceMemory<T>::copy_from(const T* host, const Stream& stream) {
  detail::upload(data_, host, count_ * sizeof(T), stream);
}

template <class T>
void DeviceMemory<T>::copy_to(T* host, const Stream& stream) const {
  detail::download(host, data_, count_ * sizeof(T), stream);
}

}  // namespace striate::cuda
