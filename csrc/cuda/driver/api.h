// SPDX-License-Identifier: Apache-2.0
// What is used of NVIDIA's driver (libcuda) and of its run-time compiler (libnvrtc), with types as
// their ABI has them: neither is there when this is compiled.
#pragma once
#include <cstddef>
#include <cstdint>

namespace striate::cuda {

using Result = int;  // CUresult, nvrtcResult: 0 is success
using DevicePointer = unsigned long long;
using Context = struct CUctx_st*;
using ModuleHandle = struct CUmod_st*;
using Function = struct CUfunc_st*;
using StreamHandle = struct CUstream_st*;
using EventHandle = struct CUevent_st*;
using GraphHandle = struct CUgraph_st*;
using GraphNode = struct CUgraphNode_st*;
using GraphExec = struct CUgraphExec_st*;
using Program = struct _nvrtcProgram*;

enum : Result {
  kOutOfMemory = 2,
  kNoDevice = 100,
  kInvalidContext = 201,
  kIllegalAddress = 700,
  kLaunchTimeout = 702,
  kAssert = 710,
  kHardwareStackError = 714,  // to 719 (launch failed): errors after which a context is lost
  kLaunchFailed = 719,
};

enum : int {  // CUdevice_attribute, CUfunction_attribute, flags
  kMultiprocessors = 16,
  kCapabilityMajor = 75,
  kCapabilityMinor = 76,
  kMaxDynamicSharedBytes = 8,
  kStreamNonBlocking = 1,
  kCaptureOfThread = 1,  // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
};

// ENTRY(name in the library, arguments)
#define STRIATE_DRIVER_ENTRIES(ENTRY)                                                            \
  ENTRY(cuInit, (unsigned flags))                                                                \
  ENTRY(cuDriverGetVersion, (int* version))                                                      \
  ENTRY(cuGetErrorName, (Result error, const char** text))                                       \
  ENTRY(cuGetErrorString, (Result error, const char** text))                                     \
  ENTRY(cuDeviceGetCount, (int* count))                                                          \
  ENTRY(cuDeviceGet, (int* device, int index))                                                   \
  ENTRY(cuDeviceGetName, (char* name, int size, int device))                                     \
  ENTRY(cuDeviceGetAttribute, (int* value, int attribute, int device))                           \
  ENTRY(cuDeviceTotalMem_v2, (size_t* bytes, int device))                                        \
  ENTRY(cuDevicePrimaryCtxRetain, (Context * context, int device))                               \
  ENTRY(cuCtxGetCurrent, (Context * context))                                                    \
  ENTRY(cuCtxSetCurrent, (Context context))                                                      \
  ENTRY(cuCtxGetDevice, (int* device))                                                           \
  ENTRY(cuCtxSynchronize, ())                                                                    \
  ENTRY(cuMemGetInfo_v2, (size_t* free, size_t* total))                                          \
  ENTRY(cuMemAlloc_v2, (DevicePointer * pointer, size_t bytes))                                  \
  ENTRY(cuMemFree_v2, (DevicePointer pointer))                                                   \
  ENTRY(cuMemcpyHtoDAsync_v2,                                                                    \
        (DevicePointer to, const void* from, size_t bytes, StreamHandle stream))                 \
  ENTRY(cuMemcpyDtoHAsync_v2, (void* to, DevicePointer from, size_t bytes, StreamHandle stream)) \
  ENTRY(cuStreamCreate, (StreamHandle * stream, unsigned flags))                                 \
  ENTRY(cuStreamSynchronize, (StreamHandle stream))                                              \
  ENTRY(cuStreamDestroy_v2, (StreamHandle stream))                                               \
  ENTRY(cuStreamIsCapturing, (StreamHandle stream, int* status))                                 \
  ENTRY(cuStreamBeginCapture_v2, (StreamHandle stream, int mode))                                \
  ENTRY(cuStreamEndCapture, (StreamHandle stream, GraphHandle * graph))                          \
  ENTRY(cuGraphGetNodes, (GraphHandle graph, GraphNode * nodes, size_t* count))                  \
  ENTRY(cuGraphInstantiateWithFlags,                                                             \
        (GraphExec * executable, GraphHandle graph, unsigned long long flags))                   \
  ENTRY(cuGraphLaunch, (GraphExec executable, StreamHandle stream))                              \
  ENTRY(cuGraphDestroy, (GraphHandle graph))                                                     \
  ENTRY(cuGraphExecDestroy, (GraphExec executable))                                              \
  ENTRY(cuEventCreate, (EventHandle * event, unsigned flags))                                    \
  ENTRY(cuEventRecord, (EventHandle event, StreamHandle stream))                                 \
  ENTRY(cuEventSynchronize, (EventHandle event))                                                 \
  ENTRY(cuEventElapsedTime, (float* milliseconds, EventHandle begin, EventHandle end))           \
  ENTRY(cuEventDestroy_v2, (EventHandle event))                                                  \
  ENTRY(cuModuleLoadData, (ModuleHandle * module, const void* image))                            \
  ENTRY(cuModuleGetFunction, (Function * function, ModuleHandle module, const char* name))       \
  ENTRY(cuFuncSetAttribute, (Function function, int attribute, int value))                       \
  ENTRY(cuLaunchKernel,                                                                          \
        (Function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, \
         unsigned block_y, unsigned block_z, unsigned shared_bytes, StreamHandle stream,         \
         void** parameters, void** extra))

// Since CUDA 12.4; null in older drivers.
#define STRIATE_DRIVER_EXTRAS(ENTRY) \
  ENTRY(cuFuncGetParamInfo, (Function function, size_t index, size_t* offset, size_t* bytes))

#define STRIATE_NVRTC_ENTRIES(ENTRY)                                                             \
  ENTRY(nvrtcVersion, (int* major, int* minor))                                                  \
  ENTRY(nvrtcGetNumSupportedArchs, (int* count))                                                 \
  ENTRY(nvrtcGetSupportedArchs, (int* architectures))                                            \
  ENTRY(nvrtcCreateProgram, (Program * program, const char* text, const char* name, int headers, \
                             const char* const* header_texts, const char* const* header_names))  \
  ENTRY(nvrtcCompileProgram, (Program program, int count, const char* const* options))           \
  ENTRY(nvrtcGetProgramLogSize, (Program program, size_t* bytes))                                \
  ENTRY(nvrtcGetProgramLog, (Program program, char* text))                                       \
  ENTRY(nvrtcGetCUBINSize, (Program program, size_t* bytes))                                     \
  ENTRY(nvrtcGetCUBIN, (Program program, char* code))                                            \
  ENTRY(nvrtcDestroyProgram, (Program * program))

#define STRIATE_MEMBER(name, arguments) Result(*name) arguments;
struct DriverApi {
  STRIATE_DRIVER_ENTRIES(STRIATE_MEMBER)
  STRIATE_DRIVER_EXTRAS(STRIATE_MEMBER)
};
struct NvrtcApi {
  STRIATE_NVRTC_ENTRIES(STRIATE_MEMBER)
  const char* (*nvrtcGetErrorString)(Result error);
};
#undef STRIATE_MEMBER

}  // namespace striate::cuda
