/* SPDX-License-Identifier: Apache-2.0
 * Stands in for NVIDIA's driver and for NVRTC where there is no GPU: keeps what it was told, and
 * refuses what the real ones would. cuda_fake.py compiles it and documents its variables.
 *
 * A context is its device's only one, and most calls need one current on the calling thread. Memory
 * is the host's, between pages that can't be touched, and NaN at first. Of kernels it can run the
 * probe's, and those of FAKE_KERNELS: libraries that cuda_on_cpu.py made. Work is done when it is
 * queued, but for that of a stream which is captured: it is done when the graph is launched. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define API __attribute__((visibility("default"))) int
#define MOST 8
enum { INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, HANDLE = 400 };
enum { ILLEGAL_STATE = 401, UNSUPPORTED = 900, INVALIDATED, ISOLATION = 905, IMPLICIT };
enum { CAPTURED_EVENT = 907, WRONG_THREAD };

struct context { int device; };
struct graph;
struct thing { /* a stream, an event, a module, a function */
  struct context *owner;
  char name[64];
  int shared;          /* that a function has asked for, in bytes */
  unsigned flags;      /* of a stream */
  struct graph *graph; /* that a stream is captured into, or an event was */
  long thread;         /* that began the capture */
  int broken;          /* a capture that met what it must not */
};

static __thread struct thing *captured; /* by this thread */
static struct thing *blocking_capture;  /* of a stream that the default one waits for */

static struct context contexts[MOST];
static __thread struct context *current;
static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
static char failing[4096];  /* of FAKE_FAIL, for which the calls are counted */
static int calls;

static const char *told(const char *name, const char *usual) {
  const char *value = getenv(name);
  return value && *value ? value : usual;
}

/* FAKE_FAIL="cuMemAlloc_v2:2:700": the second call of that name from when it was set fails so. */
static int fails(const char *name) {
  char wanted[64];
  int at, code, result = 0;
  pthread_mutex_lock(&guard);
  if (strcmp(failing, told("FAKE_FAIL", ""))) {
    snprintf(failing, sizeof failing, "%s", told("FAKE_FAIL", ""));
    calls = 0;
  }
  if (sscanf(failing, "%63[^:]:%d:%d", wanted, &at, &code) == 3 && !strcmp(wanted, name))
    if (++calls == at) result = code;
  pthread_mutex_unlock(&guard);
  return result;
}

static void note(const char *format, ...) {
  char line[4096];
  const char *path = getenv("FAKE_LOG");
  if (!path) return;
  int size = snprintf(line, sizeof line, "%ld ", (long)syscall(SYS_gettid));
  va_list rest;
  va_start(rest, format);
  size += vsnprintf(line + size, sizeof line - size - 1, format, rest);
  va_end(rest);
  line[size++] = '\n';
  FILE *file = fopen(path, "a");
  fwrite(line, 1, size, file);
  fclose(file);
}

#define CALL(name, ...)                      \
  do {                                       \
    note(#name " " __VA_ARGS__);             \
    int failed = fails(#name);               \
    if (failed) return failed;               \
  } while (0)
#define NEED_CONTEXT if (!current) return NO_CONTEXT
#define NEED_OWN(x) if ((x) && ((struct thing *)(x))->owner != current) return HANDLE
/* What a thread that captures, in a mode other than relaxed, must not call. */
#define UNSAFE if (captured) return captured->broken = 1, UNSUPPORTED

static struct thing *make(const char *name) {
  struct thing *made = calloc(1, sizeof *made);
  made->owner = current;
  snprintf(made->name, sizeof made->name, "%s", name);
  return made;
}

/* The n-th of numbers between commas; the last where there are fewer. */
static int number(const char *list, int n) {
  for (; n > 0 && strchr(list, ','); --n) list = strchr(list, ',') + 1;
  return atoi(list);
}

static int count_of(const char *list) {
  int n = *list != 0;
  for (; *list; ++list) n += *list == ',';
  return n;
}

/* --- the driver ------------------------------------------------------------------------------- */

API cuInit(unsigned flags) { CALL(cuInit, "%u", flags); return 0; }
API cuDriverGetVersion(int *version) { *version = atoi(told("FAKE_VERSION", "12040")); return 0; }

API cuGetErrorName(int error, const char **text) {
  *text = error == 1     ? "CUDA_ERROR_INVALID_VALUE"
          : error == 2   ? "CUDA_ERROR_OUT_OF_MEMORY"
          : error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
          : error == 999 ? "CUDA_ERROR_UNKNOWN"
                         : NULL;
  return *text ? 0 : INVALID_VALUE;
}
API cuGetErrorString(int error, const char **text) {
  *text = error == 2 ? "out of memory" : error == 999 ? "unknown error" : NULL;
  return *text ? 0 : INVALID_VALUE;
}

static int devices(void) { return atoi(told("FAKE_DEVICES", "1")); }
API cuDeviceGetCount(int *count) { CALL(cuDeviceGetCount, ""); *count = devices(); return 0; }
API cuDeviceGet(int *device, int index) {
  CALL(cuDeviceGet, "%d", index);
  *device = 100 + index; /* a handle is no index */
  return index < devices() ? 0 : 101;
}
API cuDeviceGetName(char *name, int size, int device) {
  CALL(cuDeviceGetName, "%d", device);
  snprintf(name, size, "Fake %d", device - 100);
  return 0;
}
API cuDeviceGetAttribute(int *value, int attribute, int device) {
  CALL(cuDeviceGetAttribute, "%d %d", attribute, device);
  int capability = number(told("FAKE_CAPABILITY", "90"), device - 100);
  int multiprocessors = atoi(told("FAKE_MULTIPROCESSORS", "132"));
  *value = attribute == 75 ? capability / 10 : attribute == 76 ? capability % 10 : multiprocessors;
  return 0;
}
API cuDeviceTotalMem_v2(size_t *bytes, int device) {
  CALL(cuDeviceTotalMem_v2, "%d", device);
  *bytes = (size_t)80 << 30;
  return 0;
}
API cuDevicePrimaryCtxRetain(struct context **context, int device) {
  CALL(cuDevicePrimaryCtxRetain, "%d", device - 100);
  *context = &contexts[device - 100];
  (*context)->device = device - 100;
  return 0;
}
API cuCtxGetCurrent(struct context **context) {
  CALL(cuCtxGetCurrent, "");
  *context = current;
  return 0;
}
#ifndef LACKS_CONTEXTS
API cuCtxSetCurrent(struct context *context) {
  CALL(cuCtxSetCurrent, "%d", context ? context->device : -1);
  current = context;
  return 0;
}
#endif
API cuCtxGetDevice(int *device) {
  CALL(cuCtxGetDevice, "");
  NEED_CONTEXT;
  *device = current->device;
  return 0;
}
API cuCtxSynchronize(void) {
  CALL(cuCtxSynchronize, "%d", current ? current->device : -1);
  NEED_CONTEXT;
  UNSAFE;
  return 0;
}

/* --- memory: blocks that end at a page which can't be touched --------------------------------- */

#define PAGE 4096
#define MOST_BLOCKS 65536
struct buffer { char *begin; size_t bytes; };
static struct buffer blocks[MOST_BLOCKS];
static int block_count;

static char *mapping_of(struct buffer b, size_t *size) {
  size_t pages = ((b.bytes + 15) / 16 * 16 + PAGE - 1) / PAGE * PAGE;
  char *end = b.begin + (b.bytes + 15) / 16 * 16;
  *size = pages + 2 * PAGE;
  return end - pages - PAGE;
}

static char *block_of(size_t bytes) {
  if (bytes > (size_t)1 << 40) return NULL;
  size_t size, rounded = (bytes + 15) / 16 * 16, pages = (rounded + PAGE - 1) / PAGE * PAGE;
  size = pages + 2 * PAGE;
  char *all = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return NULL;
  mprotect(all + PAGE, pages, PROT_READ | PROT_WRITE);
  memset(all + PAGE, 0xff, pages);
  struct buffer made = {all + PAGE + pages - rounded, bytes};
  pthread_mutex_lock(&guard);
  int there = block_count < MOST_BLOCKS;
  if (there) blocks[block_count++] = made;
  pthread_mutex_unlock(&guard);
  return there ? made.begin : NULL;
}

static void free_block(char *begin) {
  size_t size;
  pthread_mutex_lock(&guard);
  for (int i = 0; i < block_count; ++i)
    if (blocks[i].begin == begin) {
      char *all = mapping_of(blocks[i], &size);
      munmap(all, size);
      blocks[i] = blocks[--block_count];
      break;
    }
  pthread_mutex_unlock(&guard);
}

API cuMemGetInfo_v2(size_t *free, size_t *total) {
  NEED_CONTEXT;
  *free = (size_t)3 << 20, *total = (size_t)80 << 30;
  return 0;
}
API cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
  CALL(cuMemAlloc_v2, "%zu", bytes);
  NEED_CONTEXT;
  UNSAFE;
  return (*pointer = (unsigned long long)block_of(bytes)) ? 0 : OUT_OF_MEMORY;
}
API cuMemFree_v2(unsigned long long pointer) {
  CALL(cuMemFree_v2, "");
  UNSAFE;
  free_block((char *)pointer);
  return 0;
}
/* Copies in graphs are not modelled, and waits are no work. */
#define NOT_CAPTURED(s) \
  if ((s) && ((struct thing *)(s))->graph) return ((struct thing *)(s))->broken = 1, UNSUPPORTED

API cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *stream) {
  CALL(cuMemcpyHtoDAsync_v2, "%zu", bytes);
  NEED_OWN(stream);
  NOT_CAPTURED(stream);
  memcpy((void *)to, from, bytes);
  return 0;
}
API cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *stream) {
  CALL(cuMemcpyDtoHAsync_v2, "%zu", bytes);
  NEED_OWN(stream);
  NOT_CAPTURED(stream);
  memcpy(to, (void *)from, bytes);
  return 0;
}

API cuStreamCreate(struct thing **stream, unsigned flags) {
  CALL(cuStreamCreate, "%u", flags);
  NEED_CONTEXT;
  *stream = make("stream");
  (*stream)->flags = flags;
  return 0;
}
API cuStreamSynchronize(void *stream) {
  CALL(cuStreamSynchronize, "");
  NEED_OWN(stream);
  NOT_CAPTURED(stream);
  return 0;
}
API cuStreamDestroy_v2(void *stream) { CALL(cuStreamDestroy_v2, ""); free(stream); return 0; }
API cuStreamWaitEvent(struct thing *stream, struct thing *event, unsigned flags) {
  CALL(cuStreamWaitEvent, "stream %p event %p", (void *)stream, (void *)event);
  NEED_OWN(stream);
  NEED_OWN(event);
  struct graph *graph = stream ? stream->graph : NULL;
  if (graph == event->graph) return 0;
  if (graph) return stream->broken = 1, ISOLATION;
  return CAPTURED_EVENT; /* it would join the capture, which is not modelled */
}
API cuEventCreate(struct thing **event, unsigned flags) {
  CALL(cuEventCreate, "%u", flags);
  NEED_CONTEXT;
  *event = make("event");
  return 0;
}
API cuEventRecord(struct thing *event, struct thing *stream) {
  CALL(cuEventRecord, "stream %p event %p", (void *)stream, (void *)event);
  NEED_OWN(event);
  NEED_OWN(stream);
  event->graph = stream ? stream->graph : NULL;
  return 0;
}
API cuEventSynchronize(void *event) { CALL(cuEventSynchronize, ""); NEED_OWN(event); return 0; }
API cuEventElapsedTime(float *milliseconds, void *begin, void *end) {
  CALL(cuEventElapsedTime, "");
  NEED_OWN(begin);
  NEED_OWN(end);
  *milliseconds = 0.008f;
  return 0;
}
API cuEventDestroy_v2(void *event) { CALL(cuEventDestroy_v2, ""); free(event); return 0; }

/* --- kernels ----------------------------------------------------------------------------------- */

struct shim_launch { /* ShimLaunch of cuda_shim/launch.h */
  unsigned grid[3], block[3];
  int dynamic_shared, reversed;
  const struct buffer *buffers;
  int buffer_count, shared_bytes;
  long long wavefronts, ideal_wavefronts;
};
typedef const char *launch_function(const char *, void **, struct shim_launch *);
typedef size_t parameter_function(const char *, size_t);

/* The library of FAKE_KERNELS that has a kernel of this name. */
static void *library_of(const char *kernel) {
  char list[8192], *rest = list;
  snprintf(list, sizeof list, "%s", told("FAKE_KERNELS", ""));
  for (char *file; (file = strsep(&rest, ":"));) {
    void *library = *file ? dlopen(file, RTLD_NOW | RTLD_LOCAL) : NULL;
    parameter_function *parameter =
        library ? (parameter_function *)dlsym(library, "shim_parameter") : NULL;
    if (parameter && parameter(kernel, 0)) return library;
  }
  return NULL;
}

static int run_on_shim(void *library, const char *kernel, struct shim_launch *launch, void **p) {
  static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
  launch_function *run = (launch_function *)dlsym(library, "shim_launch");
  pthread_mutex_lock(&running);
  launch->buffers = blocks, launch->buffer_count = block_count;
  const char *error = run(kernel, p, launch);
  if (error) fprintf(stderr, "fake CUDA: %s\n", error);
  pthread_mutex_unlock(&running);
  return error ? 700 : 0;
}

/* Of every chip from compute capability 8.0 on: bytes of shared memory that a block may ask for. */
#define MOST_SHARED (99 << 10)

static int beyond_limits(struct thing *function, const unsigned grid[3], const unsigned block[3],
                         unsigned shared) {
  const unsigned unasked = 48 << 10, asked = (unsigned)function->shared;
  return grid[0] > 0x7fffffffu || grid[1] > 65535 || grid[2] > 65535 || block[2] > 64 ||
         block[0] * block[1] * block[2] > 1024 || shared > (asked > unasked ? asked : unasked);
}

API cuModuleLoadData(struct thing **module, const void *image) {
  CALL(cuModuleLoadData, "%d", current ? current->device : -1);
  NEED_CONTEXT;
  UNSAFE;
  if (memcmp(image, "FAKE", 4) && memcmp(image, "\177ELF", 4)) return 200;
  *module = make("module");
  return 0;
}
API cuModuleGetFunction(struct thing **function, struct thing *module, const char *name) {
  CALL(cuModuleGetFunction, "%s", name);
  NEED_OWN(module);
  if (*told("FAKE_KERNELS", "") && !library_of(name)) return NOT_FOUND;
  *function = make(name);
  return 0;
}
API cuFuncSetAttribute(void *function, int attribute, int value) {
  CALL(cuFuncSetAttribute, "%d %d", attribute, value);
  NEED_OWN(function);
  if (attribute != 8 || value > MOST_SHARED) return INVALID_VALUE;
  ((struct thing *)function)->shared = value;
  return 0;
}

#ifndef BEFORE_12_4
static const char *parameters(void) { return told("FAKE_PARAMETERS", "8,8,4,8"); }
API cuFuncGetParamInfo(struct thing *function, size_t index, size_t *offset, size_t *bytes) {
  void *library = library_of(function->name);
  if (library) {
    *bytes = ((parameter_function *)dlsym(library, "shim_parameter"))(function->name, index);
    return *bytes ? 0 : INVALID_VALUE;
  }
  if (index >= (size_t)count_of(parameters())) return INVALID_VALUE;
  *offset = 0, *bytes = number(parameters(), index);
  return 0;
}
#endif

static void run_probe(void **p, long long threads) {
  const float *x = *(const float **)p[0], a = *(float *)p[2];
  float *y = *(float **)p[1];
  long long n = *(long long *)p[3];
  for (long long i = 0; i < n && i < threads; ++i) y[i] = a * x[i] + atoi(told("FAKE_SUMMAND", "1"));
}

/* A launch, with its parameters' values. */
struct node {
  struct thing *function;
  unsigned grid[3], block[3], shared;
  void **parameters;
  struct node *next;
};

static size_t parameter_bytes(const char *kernel, size_t index) {
  void *library = library_of(kernel);
  if (library) return ((parameter_function *)dlsym(library, "shim_parameter"))(kernel, index);
  return index < 4 ? number("8,8,4,8", (int)index) : 0; /* the probe's */
}

static int run_node(const struct node *n) {
  if (!strcmp(n->function->name, "probe_f32_cuda")) {
    run_probe(n->parameters, (long long)n->grid[0] * n->block[0]);
    return 0;
  }
  void *library = library_of(n->function->name);
  if (!library) return INVALID_VALUE;
  struct shim_launch launch = {{n->grid[0], n->grid[1], n->grid[2]},
                               {n->block[0], n->block[1], n->block[2]},
                               (int)n->shared, 0, NULL, 0, 0, 0, 0};
  const int error = run_on_shim(library, n->function->name, &launch, n->parameters);
  const int most = n->function->shared ? MOST_SHARED : 48 << 10; /* static arrays counted */
  return !error && launch.shared_bytes > most ? INVALID_VALUE : error;
}

#include "fake_cuda_graphs.h"

API cuLaunchKernel(struct thing *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                   unsigned by, unsigned bz, unsigned shared, struct thing *stream, void **p,
                   void **extra) {
  const unsigned grid[] = {gx, gy, gz}, block[] = {bx, by, bz};
  char tail[128] = "";
  if (extra || beyond_limits(function, grid, block, shared)) return INVALID_VALUE;
  if (!strcmp(function->name, "probe_f32_cuda"))
    snprintf(tail, sizeof tail, " a %g n %lld", *(float *)p[2], *(long long *)p[3]);
  CALL(cuLaunchKernel, "%s device %d grid %u,%u,%u block %u,%u,%u shared %u stream %p%s%s",
       function->name, current ? current->device : -1, gx, gy, gz, bx, by, bz, shared,
       (void *)stream, tail, stream && stream->graph ? " captured" : "");
  NEED_CONTEXT;
  NEED_OWN(function);
  NEED_OWN(stream);
  struct node node = {function, {gx, gy, gz}, {bx, by, bz}, shared, p, NULL};
  if (!stream && blocking_capture) return blocking_capture->broken = 1, IMPLICIT;
  if (!stream || !stream->graph) return run_node(&node);
  append(stream->graph, &node);
  return 0;
}

/* --- NVRTC: a "cubin" is the text it was made of ------------------------------------------------ */

struct program { char *text; };

API nvrtcVersion(int *major, int *minor) {
  return sscanf(told("FAKE_NVRTC", "12.4"), "%d.%d", major, minor) == 2 ? 0 : INVALID_VALUE;
}
static const char *architectures(void) { return told("FAKE_ARCHITECTURES", "80,86,89,90,100"); }
API nvrtcGetNumSupportedArchs(int *count) { *count = count_of(architectures()); return 0; }
API nvrtcGetSupportedArchs(int *list) {
  for (int i = 0; i < count_of(architectures()); ++i) list[i] = number(architectures(), i);
  return 0;
}
API nvrtcCreateProgram(struct program **program, const char *text, const char *name, int headers,
                       const char *const *header_texts, const char *const *header_names) {
  CALL(nvrtcCreateProgram, "%s %d", name, headers);
  (void)header_texts;
  for (int i = 0; i < headers; ++i) note("header %s", header_names[i]);
  *program = malloc(sizeof **program);
  (*program)->text = malloc(strlen(text) + 5);
  sprintf((*program)->text, "FAKE%s", text);
  return 0;
}
API nvrtcCompileProgram(struct program *program, int count, const char *const *options) {
  (void)program;
  for (int i = 0; i < count; ++i) note("option %s", options[i]);
  CALL(nvrtcCompileProgram, "%d", count);
  return 0;
}
API nvrtcGetProgramLogSize(struct program *program, size_t *bytes) {
  (void)program;
  *bytes = sizeof "a warning";
  return 0;
}
API nvrtcGetProgramLog(struct program *program, char *text) {
  (void)program;
  strcpy(text, "a warning");
  return 0;
}
API nvrtcGetCUBINSize(struct program *program, size_t *bytes) {
  *bytes = strlen(program->text);
  return 0;
}
API nvrtcGetCUBIN(struct program *program, char *code) {
  memcpy(code, program->text, strlen(program->text));
  return 0;
}
API nvrtcDestroyProgram(struct program **program) {
  note("nvrtcDestroyProgram");
  free((*program)->text);
  free(*program);
  return 0;
}
__attribute__((visibility("default"))) const char *nvrtcGetErrorString(int error) {
  return error == 6 ? "NVRTC_ERROR_COMPILATION" : "NVRTC_ERROR";
}
