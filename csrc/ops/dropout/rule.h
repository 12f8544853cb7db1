// SPDX-License-Identifier: Apache-2.0
// What dropout makes of an element; host and device read this file.
#pragma once

namespace striate {

// x scale + kept where the element's word is `threshold` or more, else x 0 + dropped. kept =
// dropped = 0 but for alpha dropout.
template <class T>
struct DropoutRule {
  unsigned threshold;
  T scale, kept, dropped;
};

}  // namespace striate
