// The thread pool of the CPU kernels.
//
// Workers join a call while it is open; the calling thread works as well and, when no tasks are left, closes the call
// and waits for the workers that have joined. A worker that is not scheduled in time is not waited for, so on a busy
// machine a call takes no longer than the other threads need for its share.
#include "cpu.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace {

constexpr int max_threads = 1024;

// How long a waiting thread spins before it sleeps: a few times as long as waking it takes, so that the workers are
// awake for the next frame of a running loop, while an idle pool costs nothing.
constexpr std::chrono::microseconds spin_time{50};

void pause_cpu() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Condition>
bool spin(Condition condition) {
  const auto start = std::chrono::steady_clock::now();
  do {
    for (int i = 0; i < 32; ++i) {
      if (condition()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() - start < spin_time);
  return false;
}

const char *const names[] = {"portable", "AVX2", "AVX-512"};

#if defined(__x86_64__)
bool has(unsigned value, unsigned bits) { return (value & bits) == bits; }
#endif

// Asks the processor and, about the registers, the operating system. Not __builtin_cpu_supports: it reads what a part
// of the compiler's runtime has found out, which zig's C++ compiler, for one, does not link.
bool processor_has(int instructions) {
  if (instructions == STYLECINE_PORTABLE) return true;
#if defined(__x86_64__)
  unsigned a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C)) return false;
  unsigned saved, upper;
  asm("xgetbv" : "=a"(saved), "=d"(upper) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  if (instructions == STYLECINE_AVX2) return has(saved, 0x6) && has(b, bit_AVX2);
  return has(saved, 0xe6) && has(b, bit_AVX2 | bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ);
#else
  return false;
#endif
}

}  // namespace

struct stylecine_cpu {
  const int instructions;

  explicit stylecine_cpu(int instructions) : instructions(instructions) {}

  ~stylecine_cpu() {
    {
      std::lock_guard<std::mutex> guard(mutex);
      ending = true;
      calls.fetch_add(1, std::memory_order_release);
    }
    called.notify_all();
    for (std::thread &worker : workers) worker.join();
  }

  void start(int count) {
    workers.reserve(count);
    for (int i = 0; i < count; ++i) workers.emplace_back([this] { work(); });
  }

  int threads() const { return int(workers.size()) + 1; }

  void run(int64_t tasks, void (*do_task)(void *, int64_t), void *argument) {
    if (workers.empty() || tasks < 2) {
      for (int64_t i = 0; i < tasks; ++i) do_task(argument, i);
      return;
    }
    {
      std::lock_guard<std::mutex> guard(mutex);
      task = do_task, context = argument, count = tasks, open = true;
      next.store(0, std::memory_order_relaxed);
      calls.fetch_add(1, std::memory_order_release);
    }
    called.notify_all();
    take();
    {
      std::lock_guard<std::mutex> guard(mutex);
      open = false;
    }
    const auto all_left = [this] { return joined.load(std::memory_order_acquire) == 0; };
    if (spin(all_left)) return;
    std::unique_lock<std::mutex> lock(mutex);
    left.wait(lock, all_left);
  }

 private:
  void take() {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) task(context, i);
  }

  void work() {
    for (uint32_t seen = 0;;) {
      const auto called_again = [&] { return calls.load(std::memory_order_acquire) != seen; };
      spin(called_again);
      {
        std::unique_lock<std::mutex> lock(mutex);
        called.wait(lock, called_again);
        seen = calls.load(std::memory_order_relaxed);
        if (ending) return;
        if (!open) continue;
        joined.fetch_add(1, std::memory_order_relaxed);
      }
      take();
      {
        // Under the mutex, so that the caller cannot begin to wait between decrement and notification.
        std::lock_guard<std::mutex> guard(mutex);
        if (joined.fetch_sub(1, std::memory_order_acq_rel) == 1) left.notify_one();
      }
    }
  }

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable called, left;
  // Written under the mutex while no worker has joined.
  void (*task)(void *, int64_t) = nullptr;
  void *context = nullptr;
  int64_t count = 0;
  bool open = false, ending = false;
  std::atomic<uint32_t> calls{0};  // written under the mutex, but read without it
  std::atomic<int> joined{0};
  alignas(64) std::atomic<int64_t> next{0};  // the only variable that all threads write while they work
};

void stylecine::run(stylecine_cpu *cpu, int64_t count, void (*task)(void *, int64_t), void *context) {
  cpu->run(count, task, context);
}

int stylecine_cpu_new(int threads, int instructions, stylecine_cpu **made, char *message) {
  using stylecine::fail;
  if (!made) return fail(message, STYLECINE_INVALID, "made is NULL");
  *made = nullptr;
  char why[STYLECINE_MESSAGE];
  if (threads < 1 || threads > max_threads) {
    std::snprintf(why, sizeof why, "threads is %d; it has to be 1 to %d", threads, max_threads);
    return fail(message, STYLECINE_INVALID, why);
  }
  if (instructions < STYLECINE_BEST || instructions > STYLECINE_AVX512) {
    std::snprintf(why, sizeof why, "instructions is %d, which is no instruction set", instructions);
    return fail(message, STYLECINE_INVALID, why);
  }
  if (instructions == STYLECINE_BEST) {
    instructions = STYLECINE_AVX512;
    while (!processor_has(instructions)) --instructions;
  } else if (!processor_has(instructions)) {
    std::snprintf(why, sizeof why, "this processor has no %s instructions", names[instructions]);
    return fail(message, STYLECINE_INVALID, why);
  }
  stylecine_cpu *cpu = nullptr;
  try {
    cpu = new stylecine_cpu(instructions);
    cpu->start(threads - 1);
  } catch (const std::bad_alloc &) {
    delete cpu;
    return fail(message, STYLECINE_MEMORY, "no memory for the threads");
  } catch (const std::system_error &) {
    delete cpu;
    std::snprintf(why, sizeof why, "the system did not let %d threads be started", threads - 1);
    return fail(message, STYLECINE_MEMORY, why);
  }
  *made = cpu;
  return STYLECINE_OK;
}

void stylecine_cpu_free(stylecine_cpu *cpu) { delete cpu; }

int stylecine_cpu_threads(const stylecine_cpu *cpu) { return cpu ? cpu->threads() : 0; }

int stylecine_cpu_instructions(const stylecine_cpu *cpu) { return cpu ? cpu->instructions : STYLECINE_BEST; }
