// SPDX-License-Identifier: Apache-2.0
// Queues of a device. Operations run on the caller's (CuPy's current one); where there is no caller
// to ask, on one of our own.
#pragma once
#include "cuda/driver/device.h"

namespace striate::cuda {

struct Stream {
  int device;
  StreamHandle handle;  // null is the default stream
};

void synchronize(const Stream& stream);

// Its device must be the thread's (OnDevice) where it is made, used and dropped.
class OwnStream {
 public:
  explicit OwnStream(int device);
  ~OwnStream() { driver().api.cuStreamDestroy_v2(stream_.handle); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  const Stream& get() const { return stream_; }

 private:
  Stream stream_;
};

// A point in a stream's work, with the time at which it was reached. As OwnStream.
class Event {
 public:
  Event();
  ~Event() { driver().api.cuEventDestroy_v2(handle_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(const Stream& stream);
  double seconds_since(const Event& earlier) const;  // waits until it is reached

 private:
  EventHandle handle_ = nullptr;
};

}  // namespace striate::cuda
