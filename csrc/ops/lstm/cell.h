// SPDX-License-Identifier: Apache-2.0
// What a step of a recurrent cell works on: a block of rows and units. Host and device read this
// file; the equations are in lstm.h.
#pragma once
#include "ops/dot/rows.h"

namespace striate {

// `gates` holds, `gate` elements apart,
//   lstm  i f g o     gru  r z n_x n_h     rnn  the gate
// before their functions. They are replaced by their values (n by n, n_h stays; rnn: nothing).
template <class T>
struct CellForward {
  ptrdiff_t rows, units, gate;
  Rows<T> gates;
  Rows<T> c;        // lstm: c' in, c out
  Rows<T> c_kept;   // lstm: takes c', unless null
  Rows<const T> h;  // gru: h'
  Rows<T> out;      // h (lstm: m)
  Rows<T> out2;     // a second place for the same, unless null
};

// The gradients of a step's gates from those of its result. With dh' = dy + dh:
//   lstm  reads i f g o and, in the fifth place, c'; adds to dc what h passes on, leaves f dc there
//   gru   reads r z n n_h and h = h'; leaves z dh' in dh; dgates are r z n_x n_h
//   rnn   reads h, the step's result
template <class T>
struct CellBackward {
  ptrdiff_t rows, units, gate;
  Rows<const T> gates;
  Rows<const T> h;
  Rows<const T> dy;  // null: 0
  Rows<T> dh;
  Rows<T> dc;
  Rows<T> dgates;
};

}  // namespace striate
