// SPDX-License-Identifier: Apache-2.0
// Where this library keeps what it has found out, from one process to the next.
#pragma once
#include <string>

namespace striate {

// $STRIATE_CACHE_DIR, else $XDG_CACHE_HOME/striate, else ~/.cache/striate; "" for a user without a
// home. It may not exist yet.
std::string cache_folder();

}  // namespace striate
