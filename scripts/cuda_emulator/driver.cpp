// A libcuda and a libnvrtc that compute on the processor: CUDA C++ is compiled by g++ (kernel.h), and the threads of a block
// run one after the other, in an order of chance between two barriers. With them a program for NVIDIA's GPUs trains on a
// machine without one, with the layouts of memory that CubeCL gives CUDA.
//
// They find what a GPU would forgive or turn into noise: an access beyond a buffer of ActLab's kernels, a barrier that not
// all threads reach, an address that is not aligned, a launch beyond the limits of an H100, memory that is read before it is
// written (it is NaN). What they do not show: races between barriers of one warp, the order of streams, half precision, time.
//
// CUDA_EMULATOR_KERNELS   folder with kernel.h, and of what was compiled before
// CUDA_EMULATOR_FAULTS    file that faults are written to
// CUDA_EMULATOR_LAUNCHES  file that the number of launches is written to at the end
// CUDA_EMULATOR_DEVICES   how many GPUs there are; 1 where it is not set
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <mutex>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

namespace {

enum Result { SUCCESS = 0, INVALID_VALUE = 1, INVALID_DEVICE = 101, INVALID_IMAGE = 200, NOT_FOUND = 500, COMPILATION = 6 };

// Limits of an H100.
constexpr unsigned BLOCKS_ALONG_Y = 65535, THREADS = 1024, SHARED_BYTES = 232448;
constexpr size_t PAGE = 4096, STACK = 256 * 1024;

std::mutex one_at_a_time;
long launches;

std::string variable(const char *name, const char *otherwise) {
  const char *value = getenv(name);
  return value ? value : otherwise;
}

// Each fault is told once.
void fault(const std::string &text) {
  static std::set<std::string> told;
  static std::mutex telling;
  std::lock_guard<std::mutex> guard(telling);
  if (told.size() > 100 || !told.insert(text).second) return;
  std::string name = variable("CUDA_EMULATOR_FAULTS", "");
  if (name.empty()) {
    std::cerr << "CUDA emulator: " << text << "\n";
  } else {
    std::ofstream(name, std::ios::app) << text << "\n";
  }
}

__attribute__((destructor)) void tell_launches() {
  std::string name = variable("CUDA_EMULATOR_LAUNCHES", "");
  if (!name.empty()) std::ofstream(name) << launches << "\n";
}

// A compiled kernel.
struct Kernel {
  std::string name;
  void (*launch)(void **);
  char **shared;
  bool has_barriers;
  int alignments[256];
  int parameters;
};

struct Program {
  std::string source, library, log;
};

// A thread of a block with barriers, which is left and entered again.
struct Fiber {
  void *top;
  char *stack;
  bool done;
  int barrier;
};

struct Running {
  const Kernel *kernel;
  void **arguments;
  std::vector<Fiber> fibers;
  size_t at;
  void *scheduler;
} *running = new Running{};

unsigned chance() {
  static unsigned state = 2463534242u;
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}

}  // namespace

// Leaves a stack, whose top is kept at `left`, for another one. swapcontext would ask the kernel of the system each time.
extern "C" void change_stack(void **left, void *to);
#ifndef __x86_64__
#error "change_stack is written for x86-64"
#endif
asm(R"(
.globl change_stack
change_stack:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");
constexpr int SAVED_REGISTERS = 6;

static void fiber_main() {
  running->kernel->launch(running->arguments);
  Fiber &fiber = running->fibers[running->at];
  fiber.done = true;
  change_stack(&fiber.top, running->scheduler);
}

struct Three {
  unsigned x, y, z;
};

extern "C" {
Three emulated_thread, emulated_block, emulated_blocks, emulated_threads;

void emulated_barrier(int line) {
  Fiber &fiber = running->fibers[running->at];
  fiber.barrier = line;
  change_stack(&fiber.top, running->scheduler);
}

void *emulated_beyond(const char *buffer, unsigned long index, unsigned long length) {
  static char room[64];
  memset(room, 0xff, sizeof room);
  fault(running->kernel->name + " accesses " + buffer + "[" + std::to_string(index) + "] of " + std::to_string(length));
  return room;
}
}

namespace {

Three place(unsigned thread) {
  unsigned x = emulated_threads.x, y = emulated_threads.y;
  return {thread % x, thread / x % y, thread / x / y};
}

// The threads of a block, from barrier to barrier.
void run_with_barriers(unsigned threads) {
  auto &fibers = running->fibers;
  while (fibers.size() < threads) {
    void *stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    fibers.push_back({.top = nullptr, .stack = (char *)stack, .done = false, .barrier = 0});
  }
  std::vector<unsigned> order(threads);
  for (unsigned i = 0; i < threads; i++) {
    Fiber &fiber = fibers[i];
    order[i] = i;
    fiber.done = false;
    // A stack as if fiber_main had been called, with nothing to return to.
    void **top = (void **)(fiber.stack + STACK);
    *--top = nullptr;
    *--top = (void *)fiber_main;
    fiber.top = top - SAVED_REGISTERS;
  }
  for (size_t done = 0; done < threads;) {
    for (unsigned i = threads - 1; i > 0; i--) std::swap(order[i], order[chance() % (i + 1)]);
    int barrier = 0;
    size_t ended = 0;
    bool apart = false;
    for (unsigned i : order) {
      Fiber &fiber = fibers[i];
      if (!fiber.done) {
        running->at = i;
        emulated_thread = place(i);
        change_stack(&running->scheduler, fiber.top);
        if (!fiber.done) {
          apart |= barrier != 0 && barrier != fiber.barrier;
          barrier = fiber.barrier;
        }
      }
      ended += fiber.done;
    }
    if (apart || (barrier != 0 && ended > 0)) {
      fault(running->kernel->name + " has a barrier that not all threads of a block reach");
    }
    done = ended;
  }
}

void run_block(unsigned threads, unsigned shared) {
  const Kernel &kernel = *running->kernel;
  if (kernel.shared) memset(*kernel.shared, 0xff, shared);
  if (kernel.has_barriers) return run_with_barriers(threads);
  bool backwards = chance() & 1;
  for (unsigned i = 0; i < threads; i++) {
    emulated_thread = place(backwards ? threads - 1 - i : i);
    kernel.launch(running->arguments);
  }
}

std::string kernels() { return variable("CUDA_EMULATOR_KERNELS", "."); }

// The last function of a source is its kernel.
std::string name_of(const std::string &source) {
  static const std::regex heading(R"(__launch_bounds__\([0-9, ]*\)\s+(\w+)\()");
  std::string name;
  for (std::sregex_iterator i(source.begin(), source.end(), heading), end; i != end; ++i) name = (*i)[1];
  return name;
}

// The source for g++: shared memory is the emulator's, and each access of a buffer is compared with its length, which
// ActLab's kernels get beside it (those of burn have shapes and strides instead, and are not compared).
std::string translated(std::string source, const std::string &name) {
  static const std::regex shared(R"(extern\s+__shared__[^;\[]*\s(\w+)\[\];)");
  source = std::regex_replace(source, shared, "char *const $1 = emulated_shared;");
  static const std::regex addition(R"rx(asm volatile\("atom\.relaxed\.add\.f32[^;]*;"\s*:\s*"=f"\((\w+)\)\s*:\s*"l"\(([^)]*)\),\s*"f"\(([^)]*)\)[^;]*;)rx");
  source = std::regex_replace(source, addition, "$1 = emulated_add($2, $3);");
  size_t begin = source.find(name + "(") + name.size() + 1, end = source.find(") {", begin);
  std::string heading = source.substr(begin, end - begin);
  std::vector<std::string> buffers;
  static const std::regex parameter(R"(([^,]+)\s(\w+)(,|$))"), lengths(R"(uint32_t static_meta\[(\d+)\])");
  std::string numbers;
  for (std::sregex_iterator i(heading.begin(), heading.end(), parameter), last; i != last; ++i) {
    std::string type = (*i)[1];
    if (type.find("info_st") != std::string::npos) numbers = (*i)[2];
    else if (type.find('*') != std::string::npos) buffers.push_back((*i)[2]);
  }
  std::smatch found;
  bool counted = std::regex_search(source, found, lengths) && std::stoul(found[1]) == (buffers.size() + 1) / 2 * 2;
  for (size_t i = 0; counted && !numbers.empty() && i < buffers.size(); i++) {
    std::string length = numbers + ".static_meta[" + std::to_string(i) + "]";
    std::regex access("&" + buffers[i] + R"(\[(\w+)\])");
    source = std::regex_replace(source, access, "&emulated_at(" + buffers[i] + ", $1, " + length + ", \"buffer " + std::to_string(i) + "\")");
  }
  bool barriers = source.find("__syncthreads") != std::string::npos;
  return "#include \"kernel.h\"\nextern \"C\" { char *emulated_shared; }\n" + source +
         "\nextern \"C\" {\nvoid entry(void **arguments) { emulated_launch(" + name + ", arguments); }\n" +
         "int alignments(int *to) { return emulated_alignments(" + name + ", to); }\n" +
         "int has_barriers() { return " + (barriers ? "1" : "0") + "; }\n}\n";
}

// Compiles a translated kernel into a library, unless that was done before.
int compile(Program &program) {
  std::string name = name_of(program.source), text = translated(program.source, name);
  char hash[32];
  snprintf(hash, sizeof hash, "%016zx", std::hash<std::string>()(text));
  std::string base = kernels() + "/" + name + "-" + hash;
  program.library = base + ".so";
  if (access(program.library.c_str(), R_OK) == 0) return SUCCESS;
  // Other threads and programs may be about to compile the same.
  static std::atomic<int> compiled;
  std::string own = base + "-" + std::to_string(getpid()) + "-" + std::to_string(compiled++);
  std::ofstream(own + ".cpp") << text;
  // It calls the emulator, which a program has loaded for itself alone; by the name of the library, since the next program
  // finds it in another folder.
  Dl_info emulator;
  dladdr((void *)compile, &emulator);
  std::string command = "env -u LD_LIBRARY_PATH g++ -std=c++17 -O1 -march=native -w -fno-strict-aliasing -fPIC -shared -I'" +
                        kernels() + "' -o '" + own + ".so' '" + own + ".cpp' '" + emulator.dli_fname + "' 2>'" + own + ".log' && mv '" +
                        own + ".so' '" + program.library + "'";
  int status = system(command.c_str());
  if (status != 0) {
    std::ifstream log(own + ".log");
    program.log.assign(std::istreambuf_iterator<char>(log), {});
    fault(name + " is not compiled:\n" + program.log);
    return COMPILATION;
  }
  unlink((own + ".cpp").c_str());
  unlink((own + ".log").c_str());
  return SUCCESS;
}

// Memory between two pages that nothing may touch, full of NaN up to a size from which that would take long.
void *room(size_t size, bool poisoned) {
  size_t length = (std::max(size, size_t(1)) + PAGE - 1) / PAGE * PAGE;
  char *at = (char *)mmap(nullptr, length + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  at += PAGE;
  mprotect(at, length, PROT_READ | PROT_WRITE);
  if (poisoned && size < (64u << 20)) memset(at, 0xff, length);
  return at;
}

int handle(void **to) {
  static size_t last;
  *to = (void *)__atomic_add_fetch(&last, 16, __ATOMIC_RELAXED);
  return SUCCESS;
}

int number(int *to, int value) {
  *to = value;
  return SUCCESS;
}

int text(std::string *of, char *to) {
  memcpy(to, of->c_str(), of->size() + 1);
  return SUCCESS;
}

int devices() { return atoi(variable("CUDA_EMULATOR_DEVICES", "1").c_str()); }

}  // namespace

// The functions of both libraries that ActLab calls: CubeCL by way of cudarc, which looks each up when it is called.
extern "C" {
typedef unsigned long long Pointer;

int nvrtcVersion(int *major, int *minor) { return number(major, 13), number(minor, 0); }
int nvrtcCreateProgram(void **program, const char *source, const char *, int, const char *const *, const char *const *) {
  *program = new Program{.source = source, .library = "", .log = ""};
  return SUCCESS;
}
int nvrtcCompileProgram(void *program, int, const char *const *) { return compile(*(Program *)program); }
int nvrtcGetProgramLogSize(void *program, size_t *size) { return *size = ((Program *)program)->log.size() + 1, SUCCESS; }
int nvrtcGetProgramLog(void *program, char *to) { return text(&((Program *)program)->log, to); }
// In place of PTX: the name of the library.
int nvrtcGetPTXSize(void *program, size_t *size) { return *size = ((Program *)program)->library.size() + 1, SUCCESS; }
int nvrtcGetPTX(void *program, char *to) { return text(&((Program *)program)->library, to); }
int nvrtcDestroyProgram(void **program) { return delete (Program *)*program, SUCCESS; }
const char *nvrtcGetErrorString(int) { return "g++ does not compile it: see the log"; }

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int *version) { return number(version, 13000); }
int cuDeviceGetCount(int *count) { return number(count, devices()); }
int cuDeviceGet(int *device, int ordinal) { return ordinal < devices() ? number(device, ordinal) : INVALID_DEVICE; }
int cuDeviceGetName(char *name, int size, int) { return snprintf(name, size, "emulator") < 0; }
int cuDeviceGetPCIBusId(char *name, int size, int device) { return snprintf(name, size, "0000:%02x:00.0", device) < 0; }
// An H100.
int cuDeviceGetAttribute(int *value, int attribute, int) {
  switch (attribute) {
  case 1: case 2: case 3: return number(value, THREADS);   // threads of a block, along x and y
  case 4: return number(value, 64);                        // along z
  case 5: return number(value, 2147483647);                // blocks along x
  case 6: case 7: return number(value, BLOCKS_ALONG_Y);    // along y and z
  case 8: return number(value, 49152);                     // shared memory of a block
  case 10: return number(value, 32);                       // threads of a warp
  case 12: return number(value, 65536);                    // registers of a block
  case 16: return number(value, 132);                      // multiprocessors
  case 39: return number(value, 2048);                     // threads of a multiprocessor
  case 75: return number(value, 9);                        // compute capability 9.0
  case 76: return number(value, 0);
  case 81: return number(value, 233472);                   // shared memory of a multiprocessor
  case 97: return number(value, SHARED_BYTES);             // of a block that asks for more
  default: return number(value, 1);
  }
}
int cuDeviceTotalMem_v2(size_t *bytes, int) { return *bytes = 80ull << 30, SUCCESS; }
int cuDevicePrimaryCtxRetain(void **context, int) { return handle(context); }
int cuCtxSetCurrent(void *) { return SUCCESS; }
int cuGetExportTable(const void **table, const void *) { return *table = nullptr, NOT_FOUND; }

int cuMemAlloc_v2(Pointer *to, size_t size) { return *to = (Pointer)room(size, true), SUCCESS; }
int cuMemAllocHost_v2(void **to, size_t size) { return *to = room(size, false), SUCCESS; }
// Freed memory stays where it is: the program is short.
int cuMemFree_v2(Pointer) { return SUCCESS; }
int cuMemFreeHost(void *) { return SUCCESS; }
int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t size, void *) { return memmove((void *)to, (void *)from, size), SUCCESS; }
int cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t size, void *) { return memcpy((void *)to, from, size), SUCCESS; }
int cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t size, void *) { return memcpy(to, (void *)from, size), SUCCESS; }
struct Side {
  size_t x, y;
  unsigned kind;
  void *host;
  Pointer device;
  void *array;
  size_t pitch;
  char *begin() const { return kind == 1 ? (char *)host : (char *)device; }
};
struct Copy {
  Side from, to;
  size_t bytes, rows;
};
int cuMemcpy2DAsync_v2(const Copy *copy, void *) {
  for (size_t row = 0; row < copy->rows; row++) {
    memcpy(copy->to.begin() + row * copy->to.pitch, copy->from.begin() + row * copy->from.pitch, copy->bytes);
  }
  return SUCCESS;
}

// What is launched has ended when the call returns.
int cuStreamCreate(void **stream, unsigned) { return handle(stream); }
int cuStreamSynchronize(void *) { return SUCCESS; }
int cuStreamWaitEvent(void *, void *, unsigned) { return SUCCESS; }
int cuEventCreate(void **event, unsigned) { return handle(event); }
int cuEventRecord(void *, void *) { return SUCCESS; }
int cuEventSynchronize(void *) { return SUCCESS; }
int cuEventDestroy_v2(void *) { return SUCCESS; }

int cuModuleLoadData(void **module, const void *image) {
  std::string path = (const char *)image;
  void *library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return fault(dlerror()), INVALID_IMAGE;
  auto *kernel = new Kernel{};
  size_t begin = path.rfind('/') + 1;
  kernel->name = path.substr(begin, path.rfind('-') - begin);
  kernel->launch = (void (*)(void **))dlsym(library, "entry");
  kernel->parameters = ((int (*)(int *))dlsym(library, "alignments"))(kernel->alignments);
  kernel->has_barriers = ((int (*)())dlsym(library, "has_barriers"))();
  kernel->shared = (char **)dlsym(library, "emulated_shared");
  return *module = kernel, SUCCESS;
}
int cuModuleUnload(void *) { return SUCCESS; }
int cuModuleGetFunction(void **function, void *module, const char *) { return *function = module, SUCCESS; }
int cuFuncSetAttribute(void *, int, int) { return SUCCESS; }

int cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y,
                   unsigned threads_z, unsigned shared, void *, void **arguments, void **) {
  std::lock_guard<std::mutex> guard(one_at_a_time);
  const auto *kernel = (const Kernel *)function;
  unsigned threads = threads_x * threads_y * threads_z;
  launches++;
  if (!x || !y || !z || y > BLOCKS_ALONG_Y || z > BLOCKS_ALONG_Y || !threads || threads > THREADS || shared > SHARED_BYTES) {
    fault(kernel->name + " is launched with " + std::to_string(x) + " x " + std::to_string(y) + " x " + std::to_string(z) + " blocks of " +
          std::to_string(threads) + " threads and " + std::to_string(shared) + " bytes");
    return INVALID_VALUE;
  }
  for (int i = 0; i < kernel->parameters; i++) {
    int alignment = kernel->alignments[i];
    if (alignment && *(Pointer *)arguments[i] % alignment) {
      fault(kernel->name + " gets an address that is no multiple of " + std::to_string(alignment) + " as argument " + std::to_string(i));
    }
  }
  static char *block_memory = (char *)room(SHARED_BYTES, false);
  *kernel->shared = block_memory;
  running->kernel = kernel;
  running->arguments = arguments;
  emulated_blocks = {x, y, z};
  emulated_threads = {threads_x, threads_y, threads_z};
  for (unsigned c = 0; c < z; c++) {
    for (unsigned b = 0; b < y; b++) {
      for (unsigned a = 0; a < x; a++) {
        emulated_block = {a, b, c};
        run_block(threads, shared);
      }
    }
  }
  return SUCCESS;
}
}
