// The part of CUDA that cuda_ops/*.cu use, on the CPU, so that tests can run the kernels without a GPU.
//
// The threads of a block are fibers that run one after the other, each as far as the next barrier; blocks come one
// after the other too. The order is the test's to choose, and shared memory is full of NaN when a block begins: a
// missing barrier shows as a wrong or changing result, and a barrier that not all threads reach is an error. That tests
// indices, arithmetic, barriers and sizes of workspaces. It cannot test what hardware adds: memory ordering, which
// memory a pointer points to, rounding of fused multiplications and of CUDA's own exp(), registers, speed.
//
// Calls have to be for the device and the stream that the test names, and the test may have any of them fail.
//
// Kernel<<<grid, block, 0, stream>>>(...) has become launch(Kernel, grid, block, 0, stream)(...) (build.py).
// Under -fsanitize=thread the threads of a block are synchronised by barriers alone: a missing atomic is found too.
#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define TSAN(call) call
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
#else
#define TSAN(call)
#define UNSEEN
#endif

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __shared__ static __attribute__((section("cuda_shared")))
extern "C" __attribute__((weak, visibility("hidden"))) char __start_cuda_shared[], __stop_cuda_shared[];

using cudaStream_t = struct Stream *;
using cudaError_t = const char *;
constexpr cudaError_t cudaSuccess = nullptr;

struct Index {
  unsigned x;
};
inline Index threadIdx, blockIdx, blockDim, gridDim;  // of the thread that runs

namespace cuda_on_cpu {

constexpr unsigned WARP = 32, MAX_THREADS = 1024;  // threads
constexpr size_t STACK = size_t(256) * 1024;       // bytes, of a thread

struct Thread {
  ucontext_t context;
  void *fiber;  // the sanitizer's handle
  bool done;
  int barrier;              // line of the source where it waits, 0: it does not
  unsigned group;           // how many meet there: a warp or the block
  uint64_t sent, received;  // its value, and the one it gets at the barrier: in a block whether any was not 0
};

inline Thread threads[MAX_THREADS], *running;
inline ucontext_t scheduler;
inline void *scheduler_fiber;
inline unsigned seed;      // of the order; 0: ascending
inline cudaError_t error;  // the first since cudaGetLastError()

constexpr int DEVICES = 2;
inline int device;              // the current one
inline int64_t calls, failing;  // how many there were, and which of them fails; 0: none
inline int expected_device;
inline cudaStream_t expected_stream;

// Whether a call succeeds. As in CUDA, a failure is the last error until that is read.
inline cudaError_t called(cudaError_t otherwise = cudaSuccess) {
  const cudaError_t status = ++calls == failing ? "this call was to fail" : otherwise;
  if (status && !error) error = status;
  return status;
}
inline cudaError_t enqueued(cudaStream_t stream) {
  return called(device != expected_device   ? "not on the device that was asked for"
                : stream != expected_stream ? "not on the stream that was passed"
                                            : cudaSuccess);
}

inline std::vector<unsigned> order(unsigned count) {
  static uint32_t state;
  std::vector<unsigned> made(count);
  for (unsigned i = 0; i < count; ++i) made[i] = i;
  for (unsigned i = count; seed && i > 1; --i) {
    state = state * 1664525 + 1013904223 + seed;
    std::swap(made[i - 1], made[(state >> 8) % i]);
  }
  return made;
}

UNSEEN inline void resume(Thread &thread) {
  running = &thread, threadIdx.x = unsigned(&thread - threads);
  TSAN(__tsan_switch_to_fiber(thread.fiber, __tsan_switch_to_fiber_no_sync));
  swapcontext(&scheduler, &thread.context);
}
UNSEEN inline void suspend() {
  TSAN(__tsan_switch_to_fiber(scheduler_fiber, 0));
  swapcontext(&running->context, &scheduler);
}

// The running thread waits until all of its warp or block have come to this line.
UNSEEN inline uint64_t meet(int line, unsigned group, uint64_t sent) {
  Thread &me = *running, &first = threads[threadIdx.x / group * group];
  me.barrier = line, me.group = group, me.sent = sent;
  suspend();
  TSAN(__tsan_acquire(&first));
  (void)first;
  return me.received;
}

// Lets them go on if they have; whether they had.
inline bool open(unsigned first, unsigned group) {
  uint64_t any = 0;
  for (unsigned i = first; i < first + group; ++i) {
    if (threads[i].done || threads[i].group != group || threads[i].barrier != threads[first].barrier) return false;
    any |= threads[i].sent;
  }
  for (unsigned i = first; i < first + group; ++i)
    threads[i].received = group == WARP ? threads[i].sent : any, threads[i].barrier = 0;
  TSAN(__tsan_release(&threads[first]));
  return true;
}

inline void (*body)(const void *context);  // the kernel
inline const void *body_context;
UNSEEN inline void thread_main() {
  body(body_context);
  running->done = true;
  suspend();
}

// All threads as far as their next barrier.
inline void run_threads() {
  for (const unsigned i : order(blockDim.x))
    if (!threads[i].done && !threads[i].barrier) resume(threads[i]);
}

inline bool open_barriers() {
  bool opened = open(0, blockDim.x);
  for (unsigned first = 0; first + WARP <= blockDim.x; first += WARP) opened |= open(first, WARP);
  return opened;
}

inline void run_block() {
  static char *const stacks = new char[MAX_THREADS * STACK];
  if (__start_cuda_shared) memset(__start_cuda_shared, 0xff, size_t(__stop_cuda_shared - __start_cuda_shared));
  TSAN(scheduler_fiber = __tsan_get_current_fiber());
  for (unsigned i = 0; i < blockDim.x; ++i) {
    threads[i] = {};
    TSAN(threads[i].fiber = __tsan_create_fiber(0));
    getcontext(&threads[i].context);
    threads[i].context.uc_stack.ss_sp = stacks + i * STACK;
    threads[i].context.uc_stack.ss_size = STACK;
    makecontext(&threads[i].context, thread_main, 0);
  }
  do run_threads();
  while (open_barriers());
  for (unsigned i = 0; i < blockDim.x; ++i) {
    if (!threads[i].done) error = "a barrier is not reached by all threads";
    TSAN(__tsan_destroy_fiber(threads[i].fiber));
  }
}

template <class Kernel>
auto launch(Kernel kernel, int64_t grid, int64_t block, size_t shared, cudaStream_t stream) {
  return [=](const auto &...arguments) {
    if (enqueued(stream)) return;
    const auto call = [&] { kernel(arguments...); };
    body = [](const void *context) { (*static_cast<decltype(call) *>(context))(); };
    body_context = &call;
    if (grid < 1 || grid > INT32_MAX || block < 1 || block > MAX_THREADS || shared)
      error = "invalid configuration argument";
    if (error) return;
    gridDim.x = unsigned(grid), blockDim.x = unsigned(block);
    for (const unsigned i : order(gridDim.x))
      if (!error) blockIdx.x = i, run_block();
  };
}

template <class T>
T shuffle(int line, unsigned mask, T value, unsigned lane) {
  if (mask != 0xffffffffu) error = "shuffles of a part of a warp are not emulated";
  const unsigned first = threadIdx.x / WARP * WARP;
  uint64_t bits = 0;
  memcpy(&bits, &value, sizeof value);
  meet(line, WARP, bits);
  memcpy(&value, &threads[first + lane % WARP].received, sizeof value);
  return value;
}

inline uint32_t ballot(int line, unsigned mask, bool vote) {
  if (mask != 0xffffffffu) error = "votes of a part of a warp are not emulated";
  const unsigned first = threadIdx.x / WARP * WARP;
  meet(line, WARP, vote);
  uint32_t bits = 0;
  for (unsigned lane = 0; lane < WARP; ++lane) bits |= uint32_t(threads[first + lane].received) << lane;
  return bits;
}

template <class T, class Change>
T atomically(T *at, Change change) {
  T before, after;
  __atomic_load(at, &before, __ATOMIC_RELAXED);
  do after = change(before);
  while (!__atomic_compare_exchange(at, &before, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}

}  // namespace cuda_on_cpu

#define __syncthreads() cuda_on_cpu::meet(__LINE__, blockDim.x, 0)
#define __syncthreads_or(any) int(cuda_on_cpu::meet(__LINE__, blockDim.x, (any) != 0))
#define __ballot_sync(mask, vote) cuda_on_cpu::ballot(__LINE__, mask, vote)
#define __shfl_xor_sync(mask, value, lanes) cuda_on_cpu::shuffle(__LINE__, mask, value, threadIdx.x ^ unsigned(lanes))

inline int __ffs(int x) { return __builtin_ffs(x); }
inline float atomicAdd(float *at, float x) {
  return cuda_on_cpu::atomically(at, [x](float before) { return before + x; });
}
inline unsigned long long atomicAdd(unsigned long long *at, unsigned long long x) {
  return cuda_on_cpu::atomically(at, [x](unsigned long long before) { return before + x; });
}
inline unsigned atomicMax(unsigned *at, unsigned x) {
  return cuda_on_cpu::atomically(at, [x](unsigned before) { return before > x ? before : x; });
}
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline int __clzll(long long x) { return x ? __builtin_clzll(static_cast<unsigned long long>(x)) : 64; }
inline long long __double2ll_rn(double x) { return llrint(x); }

struct cudaFuncAttributes {};
template <class Kernel>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, Kernel) {
  return cuda_on_cpu::called();
}
inline cudaError_t cudaGetDevice(int *device) { return *device = cuda_on_cpu::device, cuda_on_cpu::called(); }
inline cudaError_t cudaSetDevice(int device) {
  const cudaError_t status =
      cuda_on_cpu::called(device < cuda_on_cpu::DEVICES ? cudaSuccess : "invalid device ordinal");
  if (!status) cuda_on_cpu::device = device;
  return status;
}
inline cudaError_t cudaGetLastError() { return std::exchange(cuda_on_cpu::error, cudaSuccess); }
inline const char *cudaGetErrorString(cudaError_t status) { return status; }
inline cudaError_t cudaMemsetAsync(void *at, int byte, size_t count, cudaStream_t stream) {
  const cudaError_t status = cuda_on_cpu::enqueued(stream);
  if (!status) memset(at, byte, count);
  return status;
}

#define FOR_TESTS extern "C" __attribute__((visibility("default"), used)) inline
FOR_TESTS void cuda_on_cpu_order(unsigned seed) { cuda_on_cpu::seed = seed; }
// From now on calls are for this device and stream; call number `failing` is to fail. The current device is 0.
FOR_TESTS void cuda_on_cpu_expect(int device, cudaStream_t stream, int64_t failing) {
  cuda_on_cpu::expected_device = device, cuda_on_cpu::expected_stream = stream;
  cuda_on_cpu::calls = 0, cuda_on_cpu::failing = failing, cuda_on_cpu::device = 0;
}
FOR_TESTS int64_t cuda_on_cpu_calls() { return cuda_on_cpu::calls; }
FOR_TESTS int cuda_on_cpu_device() { return cuda_on_cpu::device; }
FOR_TESTS cudaError_t cuda_on_cpu_error() { return cuda_on_cpu::error; }
