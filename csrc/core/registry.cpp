// SPDX-License-Identifier: Apache-2.0
#include "core/registry.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace striate {
namespace {

std::vector<const TableBase*>& tables() {
  static std::vector<const TableBase*> list;
  return list;
}

thread_local const PinRows* pinned = nullptr;

const Row* find(const std::string& name) {
  for (const TableBase* table : tables())
    for (size_t i = 0; i < table->size(); ++i)
      if (name == table->row(i).name) return &table->row(i);
  return nullptr;
}

}  // namespace

const char* dtype_name(Dtype dtype) {
  return dtype == Dtype::f32 ? "float32" : dtype == Dtype::f64 ? "float64" : "bfloat16";
}

PinRows::PinRows(std::vector<std::string> names) : names_(std::move(names)), outer_(pinned) {
  for (const std::string& name : names_) {
    const Row* row = find(name);
    if (row == nullptr)
      throw std::invalid_argument("no kernel or method is named '" + name +
                                  "'; `striate kernels` lists them");
    std::string why = isa_why_not(row->isa);
    if (!why.empty()) throw std::invalid_argument(name + " can't run here: " + why);
  }
  pinned = this;
}

PinRows::~PinRows() { pinned = outer_; }

const PinRows* PinRows::innermost() { return pinned; }

bool PinRows::names(const char* row) const {
  for (const std::string& name : names_)
    if (name == row) return true;
  return false;
}

TableBase::TableBase() { tables().push_back(this); }

std::vector<const TableBase*> TableBase::all() {
  std::vector<const TableBase*> list = tables();
  std::stable_sort(list.begin(), list.end(), [](const TableBase* a, const TableBase* b) {
    if (a->size() == 0 || b->size() == 0) return a->size() < b->size();
    return std::strcmp(a->row(0).op, b->row(0).op) < 0;
  });
  return list;
}

void TableBase::fail(Dtype dtype, int variant) const {
  isa_cap();  // a nonsense STRIATE_ISA is the better error
  std::string text = std::string("no kernel for ") + (size() ? row(0).op : "an empty table") +
                     " on " + dtype_name(dtype) + " can run here:";
  for (size_t i = 0; i < size(); ++i) {
    const Row& r = row(i);
    if (r.dtype != dtype || r.variant != variant) continue;
    std::string why = isa_why_not(r.isa);
    text += std::string("\n  ") + r.name + ": " + (why.empty() ? "runnable" : why);
  }
  throw std::runtime_error(text);
}

}  // namespace striate
