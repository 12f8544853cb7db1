// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/stream.h"

namespace striate::cuda {

void synchronize(const Stream& stream) {
  expect(api().cuStreamSynchronize(stream.handle), "cuda: waiting for a stream");
}

OwnStream::OwnStream(int device) : stream_{device, nullptr} {
  expect(api().cuStreamCreate(&stream_.handle, kStreamNonBlocking), "cuda: cuStreamCreate");
}

Event::Event() { expect(api().cuEventCreate(&handle_, 0), "cuda: cuEventCreate"); }

void Event::record(const Stream& stream) {
  expect(api().cuEventRecord(handle_, stream.handle), "cuda: cuEventRecord");
}

double Event::seconds_since(const Event& earlier) const {
  float milliseconds;
  expect(api().cuEventSynchronize(handle_), "cuda: waiting for an event");
  expect(api().cuEventElapsedTime(&milliseconds, earlier.handle_, handle_),
         "cuda: cuEventElapsedTime");
  return milliseconds * 1e-3;
}

}  // namespace striate::cuda
