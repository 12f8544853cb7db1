// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/source.h"

#include <sys/stat.h>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "cuda/driver/library.h"

namespace striate::cuda {
namespace {

bool is_folder(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

bool read_file(const std::string& path, std::string& text) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return false;
  text.assign(std::istreambuf_iterator<char>(in), {});
  return !in.bad();
}

// "cuda/device/copy.cuh" of the line '#include "cuda/device/copy.cuh"', "" of other lines.
std::string included(const std::string& line) {
  size_t at = line.find_first_not_of(" \t");
  if (at == std::string::npos || line[at] != '#') return "";
  at = line.find_first_not_of(" \t", at + 1);
  if (at == std::string::npos || line.compare(at, 7, "include") != 0) return "";
  const size_t open = line.find_first_not_of(" \t", at + 7);
  if (open == std::string::npos || line[open] != '"') return "";
  const size_t close = line.find('"', open + 1);
  return close == std::string::npos ? "" : line.substr(open + 1, close - open - 1);
}

void follow(const std::string& folder, const std::string& text, Source& source) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = included(line);
    std::string header;
    if (name.empty() || source.headers.count(name) || !read_file(folder + "/" + name, header))
      continue;
    source.headers[name] = header;
    follow(folder, header, source);
  }
}

}  // namespace

std::string source_folder() {
  const char* told = std::getenv("STRIATE_CUDA_SOURCES");
  if (told != nullptr && *told != 0) return told;
  std::string here = file_of(reinterpret_cast<const void*>(&source_folder));
  here.erase(here.find_last_of('/') + 1);
  // The extension module lies in the package, the library for C in its lib/.
  const std::string beside = here + "csrc", above = here + "../csrc";
  return is_folder(beside) || !is_folder(above) ? beside : above;
}

Source read_source(const std::string& file) {
  const std::string folder = source_folder();
  Source source{file, "", {}};
  if (!read_file(folder + "/" + file, source.text))
    throw std::runtime_error("cuda: " + folder + "/" + file +
                             " can't be read; the installation of striate is not whole");
  follow(folder, source.text, source);
  return source;
}

}  // namespace striate::cuda
