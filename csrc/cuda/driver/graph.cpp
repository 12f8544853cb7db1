// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/graph.h"

#include <list>
#include <mutex>
#include <string>

namespace striate::cuda {
namespace {

constexpr size_t kMostKeys = 128, kMostKernels = 8192;

// A key that came, and its graph if it came again. A refused one stays without.
struct Entry {
  GraphKey key;
  bool refused = false;
  GraphExec graph = nullptr;
  size_t kernels = 0;
};

// Of all devices. Its lock is held while a graph is captured or launched: no other thread may drop
// it then, or launch it at the same time.
class Cache {
 public:
  std::mutex guard;

  // The key's entry, the latest now; a new one in the place of the oldest. `met` tells which.
  Entry& entry(GraphKey&& key, bool* met) {
    auto it = entries_.begin();
    while (it != entries_.end() && !(it->key == key)) ++it;
    *met = it != entries_.end();
    if (*met) {
      entries_.splice(entries_.begin(), entries_, it);
    } else {
      if (entries_.size() == kMostKeys) drop_oldest();
      entries_.push_front({std::move(key)});
    }
    return entries_.front();
  }

  size_t room() const { return kMostKernels - kernels_; }
  void keep(Entry& entry, GraphExec graph, size_t kernels) {
    entry.graph = graph, entry.kernels = kernels;
    kernels_ += kernels;
  }

 private:
  // The driver frees a graph that still runs when it is done.
  void drop_oldest() {
    const Entry& oldest = entries_.back();
    if (oldest.graph != nullptr) driver().api.cuGraphExecDestroy(oldest.graph);
    kernels_ -= oldest.kernels;
    entries_.pop_back();
  }

  std::list<Entry> entries_;
  size_t kernels_ = 0;  // of all graphs
};

Cache& cache() {
  static Cache* const made = new Cache;  // outlives whatever runs at exit
  return *made;
}

// What a stream that is captured was given, or null. It is ours, as the default stream can't be
// captured, and work on that one disturbs the capture of a stream that waits for it.
GraphHandle captured(int device, const Launches& launches) {
  GraphHandle graph = nullptr;
  try {
    const OwnStream own(device);
    const Stream& stream = own.get();
    if (api().cuStreamBeginCapture_v2(stream.handle, kCaptureOfThread) != 0) return nullptr;
    bool whole = true;
    try {
      launches(stream);
    } catch (...) {
      whole = false;
    }
    if (api().cuStreamEndCapture(stream.handle, &graph) == 0 && whole) return graph;
  } catch (...) {  // no stream
  }
  if (graph != nullptr) driver().api.cuGraphDestroy(graph);
  return nullptr;
}

// The entry's graph, if there is none yet and it can be made.
void make_graph(Cache& graphs, Entry& entry, int device, const Launches& launches) {
  const GraphHandle graph = captured(device, launches);
  GraphExec made = nullptr;
  size_t kernels = 0;
  const bool fits = graph != nullptr && api().cuGraphGetNodes(graph, nullptr, &kernels) == 0 &&
                    kernels <= graphs.room();
  if (fits && api().cuGraphInstantiateWithFlags(&made, graph, 0) == 0)
    graphs.keep(entry, made, kernels);
  else
    entry.refused = true;
  if (graph != nullptr) driver().api.cuGraphDestroy(graph);
}

bool is_captured(const Stream& stream) {
  int status = 0;
  return api().cuStreamIsCapturing(stream.handle, &status) != 0 || status != 0;
}

}  // namespace

void launch_again(const Stream& stream, const char* name, GraphKey key, const Launches& launches) {
  if (is_captured(stream)) return launches(stream);
  key.add(name, stream.device);
  Cache& graphs = cache();
  std::unique_lock<std::mutex> lock(graphs.guard);
  bool met;
  Entry& entry = graphs.entry(std::move(key), &met);
  if (met && entry.graph == nullptr && !entry.refused)
    make_graph(graphs, entry, stream.device, launches);
  if (entry.graph == nullptr) {
    lock.unlock();
    return launches(stream);
  }
  if (const Result result = api().cuGraphLaunch(entry.graph, stream.handle))
    raise(result, std::string("cuda: ") + name + ": a graph of " + std::to_string(entry.kernels) +
                      " kernels, device " + std::to_string(stream.device));
  note_launch(name);
}

}  // namespace striate::cuda
