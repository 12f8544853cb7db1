// SPDX-License-Identifier: Apache-2.0
#include "core/cache_folder.h"

#include <pwd.h>
#include <unistd.h>
#include <cstdlib>

namespace striate {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string home() {
  const std::string told = variable("HOME");
  if (!told.empty()) return told;
  char text[4096];
  passwd entry, *found = nullptr;
  getpwuid_r(getuid(), &entry, text, sizeof(text), &found);
  return found == nullptr || found->pw_dir == nullptr ? "" : found->pw_dir;
}

}  // namespace

std::string cache_folder() {
  const std::string ours = variable("STRIATE_CACHE_DIR"), common = variable("XDG_CACHE_HOME");
  if (!ours.empty()) return ours;
  if (!common.empty()) return common + "/striate";
  const std::string place = home();
  return place.empty() ? "" : place + "/.cache/striate";
}

}  // namespace striate
