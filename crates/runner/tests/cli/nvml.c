/* Stands for NVIDIA's management library: two GPUs with fixed figures, and a counter of energy that grows. */
#include <string.h>

typedef struct { unsigned long long total, free, used; } memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct gpu { unsigned index; unsigned long long millijoules; } *device;

static struct gpu gpus[2] = {{0, 1000}, {1, 5000}};

int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned length) {
  strncpy(text, "580.95.05", length);
  return 0;
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device *handle) {
  if (index > 1) return 2;
  *handle = &gpus[index];
  return 0;
}
int nvmlDeviceGetName(device gpu, char *text, unsigned length) {
  strncpy(text, gpu->index == 0 ? "Stand-in A" : "Stand-in B", length);
  return 0;
}
int nvmlDeviceGetMemoryInfo(device gpu, memory *info) {
  info->total = 8ULL << 30;
  info->used = (1ULL + gpu->index) << 30;
  info->free = info->total - info->used;
  return 0;
}
int nvmlDeviceGetMemoryInfo_v2(device gpu, memory_v2 *info) {
  info->total = 8ULL << 30;
  info->reserved = 0;
  info->used = (1ULL + gpu->index) << 30;
  info->free = info->total - info->used;
  return 0;
}
int nvmlDeviceGetUtilizationRates(device gpu, utilization *rates) {
  rates->gpu = 40 + gpu->index;
  rates->memory = 10;
  return 0;
}
int nvmlDeviceGetTemperature(device gpu, int sensor, unsigned *celsius) {
  (void)sensor;
  *celsius = 60 + gpu->index;
  return 0;
}
int nvmlDeviceGetPowerUsage(device gpu, unsigned *milliwatts) {
  *milliwatts = 250500 + gpu->index;
  return 0;
}
int nvmlDeviceGetTotalEnergyConsumption(device gpu, unsigned long long *millijoules) {
  gpu->millijoules += 100;
  *millijoules = gpu->millijoules;
  return 0;
}
int nvmlDeviceGetCudaComputeCapability(device gpu, int *major, int *minor) {
  (void)gpu;
  *major = 9;
  *minor = 0;
  return 0;
}
