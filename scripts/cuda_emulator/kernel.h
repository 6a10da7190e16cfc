// What a CUDA kernel finds when it is compiled for the processor: the words of CUDA C++, the functions of its device library
// in single precision, and the calls that let the emulator (driver.cpp) run it. CubeCL's kernels include nothing else.
#pragma once

typedef unsigned long size_t;

#define __global__
#define __device__
#define __host__
#define __restrict__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct Three {
  unsigned x, y, z;
};

extern "C" {
// Of the thread that runs: there is one at a time.
extern Three emulated_thread, emulated_block, emulated_blocks, emulated_threads;
// The block's, filled with NaN before it begins.
extern char *emulated_shared;
// The thread waits for the others of its block; `line` says at which barrier.
void emulated_barrier(int line);
// Tells of an access beyond a buffer, and gives room for it.
void *emulated_beyond(const char *buffer, unsigned long index, unsigned long length);
}

#define threadIdx emulated_thread
#define blockIdx emulated_block
#define gridDim emulated_blocks
#define blockDim emulated_threads
static const int warpSize = 32;
#define __syncthreads() emulated_barrier(__LINE__)

#define UNARY(name) \
  static inline float name(float x) { return __builtin_##name##f(x); }
UNARY(exp) UNARY(expm1) UNARY(log) UNARY(log1p) UNARY(sqrt) UNARY(sin) UNARY(cos) UNARY(tan) UNARY(asin) UNARY(acos)
UNARY(atan) UNARY(sinh) UNARY(cosh) UNARY(tanh) UNARY(asinh) UNARY(acosh) UNARY(atanh) UNARY(erf) UNARY(erfc)
UNARY(fabs) UNARY(floor) UNARY(ceil) UNARY(rint) UNARY(round) UNARY(trunc)
#undef UNARY
#define BINARY(name, of) \
  static inline float name(float x, float y) { return __builtin_##of##f(x, y); }
BINARY(pow, pow) BINARY(atan2, atan2) BINARY(fmod, fmod) BINARY(min, fmin) BINARY(max, fmax) BINARY(fminf, fmin)
BINARY(fmaxf, fmax) BINARY(copysign, copysign)
#undef BINARY
static inline float pow(float x, int n) { return __builtin_powf(x, (float)n); }
static inline float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
static inline float fma(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
static inline bool isnan(float x) { return __builtin_isnan(x); }
static inline bool isinf(float x) { return __builtin_isinf(x); }
static inline int abs(int x) { return x < 0 ? -x : x; }
#define WHOLE(T) \
  static inline T min(T a, T b) { return a < b ? a : b; } \
  static inline T max(T a, T b) { return a > b ? a : b; }
WHOLE(int) WHOLE(unsigned) WHOLE(long long) WHOLE(unsigned long long)
#undef WHOLE
static inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)(((unsigned long long)a * b) >> 32); }

// One thread runs at a time.
static inline float emulated_add(const float *at, float value) {
  float before = *at;
  *(float *)at = before + value;
  return before;
}

// What stands in place of `buffer[index]`.
template <class T>
static inline T &emulated_at(T *buffer, unsigned long index, unsigned long length, const char *name) {
  return index < length ? buffer[index] : *(T *)emulated_beyond(name, index, length);
}

// Calls a kernel with the addresses of its arguments, as the driver gets them.
template <int... I>
struct Places {};
template <int N, int... I>
struct Count : Count<N - 1, N - 1, I...> {};
template <int... I>
struct Count<0, I...> {
  typedef Places<I...> All;
};
template <class... A, int... I>
static inline void emulated_call(void (*kernel)(A...), void **arguments, Places<I...>) {
  kernel(*(A *)arguments[I]...);
}
template <class... A>
static inline void emulated_launch(void (*kernel)(A...), void **arguments) {
  emulated_call(kernel, arguments, typename Count<sizeof...(A)>::All());
}

// What an address must be a multiple of: 0 for what is no address.
template <class T>
struct Alignment {
  enum { of = 0 };
};
template <class T>
struct Alignment<T *> {
  enum { of = alignof(T) };
};
template <class... A>
static inline int emulated_alignments(void (*)(A...), int *to) {
  int all[] = {(int)Alignment<A>::of...};
  for (unsigned i = 0; i < sizeof...(A); i++) to[i] = all[i];
  return sizeof...(A);
}
