// SPDX-License-Identifier: Apache-2.0
// NVIDIA's driver and compiler: what is there, and what can be asked without arrays. Nothing of it
// is loaded before one of these is called.
#include <pybind11/stl.h>

#include "bindings/array.h"
#include "cuda/driver/cache.h"
#include "cuda/driver/compile.h"
#include "cuda/driver/device.h"
#include "cuda/probe/probe.h"

namespace striate {
namespace {

using Unlocked = py::call_guard<py::gil_scoped_release>;

// Absolute ones: what lies in the folder where somebody happens to be is not loaded.
std::vector<std::string> folders_of_packages() {
  std::vector<std::string> folders;
  for (const py::handle entry : py::module_::import("sys").attr("path"))
    if (py::isinstance<py::str>(entry)) {
      std::string folder = entry.cast<std::string>();
      if (!folder.empty() && folder[0] == '/') folders.push_back(std::move(folder));
    }
  return folders;
}

py::dict driver_dict() {
  const cuda::Driver& driver = cuda::driver();
  py::dict d;
  d["path"] = driver.path;
  d["version"] = driver.version ? cuda::version_text(driver.version) : "";
  d["why_not"] = driver.why_not;
  return d;
}

py::list devices() {
  py::list list;
  for (int i = 0, count = cuda::device_count(); i < count; ++i) {
    const cuda::DeviceInfo info = cuda::device_info(i);
    py::dict d;
    d["name"] = info.name;
    d["capability"] = py::make_tuple(info.major, info.minor);
    d["multiprocessors"] = info.multiprocessors;
    d["memory"] = info.memory;
    d["why_not"] = info.why_not;
    list.append(d);
  }
  return list;
}

py::dict compiler_dict() {
  const cuda::Nvrtc& nvrtc = cuda::nvrtc();
  py::dict d;
  d["path"] = nvrtc.path;
  d["version"] = nvrtc.version ? cuda::version_text(nvrtc.version) : "";
  d["why_not"] = nvrtc.why_not;
  return d;
}

py::dict cache_dict() {
  const cuda::CacheState state = cuda::cache_state();
  py::dict d;
  d["folder"] = state.folder;
  d["why_not"] = state.why_not;
  d["files"] = state.files;
  d["bytes"] = state.bytes;
  return d;
}

py::dict compile(const std::string& file, const std::string& architecture) {
  cuda::Build build;
  {
    const py::gil_scoped_release unlocked;
    build = cuda::compile(file, architecture);
  }
  py::dict d;
  d["cubin"] = py::bytes(build.result.code);
  d["log"] = build.result.log;
  d["cached"] = build.cached;
  d["seconds"] = build.seconds;
  return d;
}

py::dict probe(int device) {
  cuda::Probe found;
  {
    const py::gil_scoped_release unlocked;
    found = cuda::run_probe(device);
  }
  py::dict d;
  d["architecture"] = found.architecture;
  d["first_seconds"] = found.first_seconds;
  d["kernel_seconds"] = found.kernel_seconds;
  d["right"] = found.right;
  return d;
}

std::string architecture(int device) {
  const cuda::DeviceInfo info = cuda::device_info(device);
  return cuda::architecture_for(info.major, info.minor);
}

}  // namespace

void bind_cuda(py::module_& m) {
  cuda::set_package_folders(folders_of_packages());
  m.def("cuda_driver", &driver_dict, "NVIDIA's driver: path, version, and why it can't be used.");
  m.def("cuda_devices", &devices, "The GPUs; none where the driver can't be used.");
  m.def("cuda_current_device", &cuda::current_device, "The device of this thread's context.");
  m.def("cuda_synchronize", &cuda::synchronize, py::arg("device"), Unlocked(),
        "Waits for all that was launched on the device.");
  m.def("cuda_compiler", &compiler_dict, "NVRTC: path, version, and why it can't be used.");
  m.def("cuda_cache", &cache_dict, "The folder of compiled kernels, and why it can't be used.");
  m.def("cuda_source_folder", &cuda::source_folder, "Where the text of device code lies.");
  m.def("cuda_compile", &compile, py::arg("file"), py::arg("architecture"),
        "A .cu file of cuda_source_folder() as a cubin for 'sm_80' and so on.");
  m.def("cuda_architecture", &architecture, py::arg("device"),
        "\"sm_90a\": what kernels are compiled for on this device.");
  m.def("cuda_probe", &probe, py::arg("device"), "Runs a small kernel on the device.");
}

}  // namespace striate
