// SPDX-License-Identifier: Apache-2.0
#include "cuda/driver/nvrtc.h"

#include <algorithm>
#include <cstdlib>

#include "cuda/driver/driver.h"
#include "cuda/driver/library.h"

namespace striate::cuda {
namespace {

std::vector<std::string>& package_folders() {
  static auto* const folders = new std::vector<std::string>;
  return *folders;
}

std::vector<std::string> in_packages(const std::string& name) {
  std::vector<std::string> files;
  for (const std::string& folder : package_folders()) files.push_back(folder + "/nvidia/" + name);
  return files;
}

void* find(std::string& why) {
  const char* told = std::getenv("STRIATE_NVRTC");
  if (told != nullptr && *told != 0) return open_first({told}, why);
  // A driver takes the code of its own CUDA and of those before.
  const bool takes_13 = !driver().why_not.empty() || driver().version >= 13000;
  void* found = nullptr;
  if (takes_13) found = open_first(in_packages("cu13/lib/libnvrtc.so.13"), why);
  if (!found) found = open_first(in_packages("cuda_nvrtc/lib/libnvrtc.so.12"), why);
  if (!found && takes_13) found = open_first({"libnvrtc.so.13"}, why);
  if (!found) found = open_first({"libnvrtc.so.12"}, why);
  return found;
}

Nvrtc load() {
  Nvrtc n;
  std::string loader;
  const std::string remedy =
      driver().why_not.empty() && driver().version < 13000
          ? "; pip install \"striate[cuda12]\" brings it"
          : "; pip install \"striate[cuda13]\" or \"striate[cuda12]\" brings it";
  void* library = find(loader);
  if (library == nullptr) {
    n.why_not = "no NVRTC was found (" + loader + ")" + remedy;
    return n;
  }
  bool whole = true;
#define ENTRY(name, arguments)                                                 \
  n.api.name = reinterpret_cast<decltype(n.api.name)>(symbol(library, #name)); \
  whole = whole && n.api.name != nullptr;
  STRIATE_NVRTC_ENTRIES(ENTRY)
  ENTRY(nvrtcGetErrorString, )
#undef ENTRY
  int major = 0, minor = 0;
  if (n.api.nvrtcVersion != nullptr) {
    n.path = file_of(reinterpret_cast<void*>(n.api.nvrtcVersion));
    n.api.nvrtcVersion(&major, &minor);
    n.version = 1000 * major + 10 * minor;
  }
  if (!whole || major < 12)
    n.why_not =
        "NVRTC is of CUDA " + version_text(n.version) + "; 12.0 or later is needed" + remedy;
  else if (driver().why_not.empty() && major > driver().version / 1000)
    n.why_not = "NVRTC is of CUDA " + version_text(n.version) + ", the driver of CUDA " +
                version_text(driver().version) + ", which does not take its code" + remedy;
  return n;
}

const NvrtcApi& usable() {
  if (!nvrtc().why_not.empty()) throw Error("cuda: " + nvrtc().why_not);
  return nvrtc().api;
}

void expect_nvrtc(Result result, const char* what) {
  if (result != 0)
    throw Error(std::string("cuda: ") + what + ": " + usable().nvrtcGetErrorString(result));
}

class OwnProgram {
 public:
  explicit OwnProgram(const Source& source) {
    std::vector<const char*> names, texts;
    for (const auto& [name, text] : source.headers)
      names.push_back(name.c_str()), texts.push_back(text.c_str());
    expect_nvrtc(usable().nvrtcCreateProgram(&program_, source.text.c_str(), source.file.c_str(),
                                             int(names.size()), texts.data(), names.data()),
                 "nvrtcCreateProgram");
  }
  ~OwnProgram() { usable().nvrtcDestroyProgram(&program_); }
  OwnProgram(const OwnProgram&) = delete;
  OwnProgram& operator=(const OwnProgram&) = delete;
  Program get() const { return program_; }

 private:
  Program program_ = nullptr;
};

std::string log_of(Program program) {
  size_t bytes = 0;
  if (usable().nvrtcGetProgramLogSize(program, &bytes) != 0 || bytes < 2) return "";
  std::string log(bytes, 0);
  if (usable().nvrtcGetProgramLog(program, &log[0]) != 0) return "";
  log.resize(bytes - 1);  // its zero
  return log;
}

}  // namespace

void set_package_folders(std::vector<std::string> folders) {
  package_folders() = std::move(folders);
}

const Nvrtc& nvrtc() {
  static const Nvrtc* const loaded = new Nvrtc(load());
  return *loaded;
}

std::string architecture_for(int major, int minor) {
  int count = 0;
  expect_nvrtc(usable().nvrtcGetNumSupportedArchs(&count), "nvrtcGetNumSupportedArchs");
  std::vector<int> known(size_t(count) + 1, 0);  // 80, 86, 90, …
  expect_nvrtc(usable().nvrtcGetSupportedArchs(known.data()), "nvrtcGetSupportedArchs");
  int best = 0;
  for (int a : known)
    if (a / 10 == major && a % 10 <= minor) best = std::max(best, a);
  if (best == 0)
    throw Error("cuda: NVRTC of CUDA " + version_text(nvrtc().version) +
                " does not know compute capability " + std::to_string(major) + "." +
                std::to_string(minor) + "; a newer one is needed (" + nvrtc().path + ")");
  // wgmma and TMA's multicast are in the architecture that is for this chip alone.
  return "sm_" + std::to_string(best) + (best == 90 ? "a" : "");
}

Compiled run_nvrtc(const Source& source, const std::vector<std::string>& options) {
  const OwnProgram program(source);
  std::vector<const char*> words;
  for (const std::string& option : options) words.push_back(option.c_str());
  const Result result =
      usable().nvrtcCompileProgram(program.get(), int(words.size()), words.data());
  Compiled made{"", log_of(program.get())};
  if (result != 0)
    throw Error("cuda: " + source.file + " does not compile (NVRTC " +
                version_text(nvrtc().version) + ", " + options.front() +
                "): " + usable().nvrtcGetErrorString(result) + "\n" + made.log);
  size_t bytes = 0;
  expect_nvrtc(usable().nvrtcGetCUBINSize(program.get(), &bytes), "nvrtcGetCUBINSize");
  made.code.resize(bytes);
  expect_nvrtc(usable().nvrtcGetCUBIN(program.get(), &made.code[0]), "nvrtcGetCUBIN");
  return made;
}

}  // namespace striate::cuda
