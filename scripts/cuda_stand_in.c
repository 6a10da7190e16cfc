// A libcuda.so.1 that computes nothing: memory is the processor's, a kernel that is launched does not run, and what is
// read is 2 everywhere. With it a program goes through all its kernels on a machine without a GPU, and NVRTC compiles each.
//
// It has the functions that ActLab calls (CubeCL by way of cudarc, which looks each up when it is called). Where
// CUDA_STAND_IN_LAUNCHES names a file, the number of launches is written there at the end.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

typedef unsigned long long Pointer;

enum { SUCCESS = 0, INVALID_DEVICE = 101, NOT_FOUND = 500 };

static long launches;

__attribute__((destructor)) static void tell(void) {
  const char *name = getenv("CUDA_STAND_IN_LAUNCHES");
  FILE *file = name ? fopen(name, "w") : NULL;
  if (!file) return;
  fprintf(file, "%ld\n", launches);
  fclose(file);
}

// Pages that are not touched take no memory.
static void *room(size_t size) {
  return mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static int handle(void **to) {
  static size_t last;
  *to = (void *)__atomic_add_fetch(&last, 16, __ATOMIC_RELAXED);
  return SUCCESS;
}

static int number(int *to, int value) {
  *to = value;
  return SUCCESS;
}

int cuInit(unsigned flags) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return number(version, 13000); }
int cuDeviceGetCount(int *count) { return number(count, 1); }
int cuDeviceGet(int *device, int ordinal) { return ordinal ? INVALID_DEVICE : number(device, 0); }
int cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "stand-in") < 0; }
int cuDeviceGetPCIBusId(char *id, int size, int device) { return snprintf(id, size, "0000:00:00.0") < 0; }

// An H100.
int cuDeviceGetAttribute(int *value, int attribute, int device) {
  switch (attribute) {
  case 1: case 2: case 3: return number(value, 1024);   // threads of a block, along x and y
  case 4: return number(value, 64);                     // along z
  case 5: return number(value, 2147483647);             // blocks along x
  case 6: case 7: return number(value, 65535);          // along y and z
  case 8: return number(value, 49152);                  // shared memory of a block
  case 10: return number(value, 32);                    // threads of a warp
  case 12: return number(value, 65536);                 // registers of a block
  case 16: return number(value, 132);                   // multiprocessors
  case 39: return number(value, 2048);                  // threads of a multiprocessor
  case 75: return number(value, 9);                     // compute capability 9.0
  case 76: return number(value, 0);
  case 81: return number(value, 233472);                // shared memory of a multiprocessor
  case 97: return number(value, 232448);                // of a block that asks for more
  default: return number(value, 1);
  }
}

int cuDeviceTotalMem_v2(size_t *bytes, int device) { return *bytes = 80ull << 30, SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int device) { return handle(context); }
int cuCtxSetCurrent(void *context) { return SUCCESS; }
// NVRTC asks the driver too, and does without.
int cuGetExportTable(const void **table, const void *id) { return *table = NULL, NOT_FOUND; }

int cuMemAlloc_v2(Pointer *to, size_t size) { return *to = (Pointer)room(size), SUCCESS; }
int cuMemAllocHost_v2(void **to, size_t size) { return *to = room(size), SUCCESS; }
// Freed memory stays where it is: the program is short.
int cuMemFree_v2(Pointer from) { return SUCCESS; }
int cuMemFreeHost(void *from) { return SUCCESS; }
int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t size, void *stream) { return SUCCESS; }
int cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t size, void *stream) { return SUCCESS; }
int cuMemcpy2DAsync_v2(const void *copy, void *stream) { return SUCCESS; }
int cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t size, void *stream) {
  for (size_t i = 0; i < size / sizeof(float); i++) ((float *)to)[i] = 2.0f;
  return SUCCESS;
}

int cuStreamCreate(void **stream, unsigned flags) { return handle(stream); }
int cuStreamSynchronize(void *stream) { return SUCCESS; }
int cuStreamWaitEvent(void *stream, void *event, unsigned flags) { return SUCCESS; }
int cuEventCreate(void **event, unsigned flags) { return handle(event); }
int cuEventRecord(void *event, void *stream) { return SUCCESS; }
int cuEventSynchronize(void *event) { return SUCCESS; }
int cuEventDestroy_v2(void *event) { return SUCCESS; }

int cuModuleLoadData(void **module, const void *image) { return handle(module); }
int cuModuleUnload(void *module) { return SUCCESS; }
int cuModuleGetFunction(void **function, void *module, const char *name) { return handle(function); }
int cuFuncSetAttribute(void *function, int attribute, int value) { return SUCCESS; }
int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y,
                   unsigned threads_z, unsigned shared, void *stream, void **parameters, void **extra) {
  __atomic_add_fetch(&launches, 1, __ATOMIC_RELAXED);
  return SUCCESS;
}
