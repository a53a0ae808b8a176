// Shared by the CPU kernels: a pool of threads, and one namespace for each instruction set.
//
// X_cpu.cpp is compiled once per instruction set, whose name is STYLECINE_SET (portable, avx2, avx512); dispatch.cpp
// chooses between them.
#pragma once

#include <cstdint>
#include <cstdio>

#include "stylecine.h"

struct stylecine_cpu;

namespace stylecine {

// Runs task(context, i) for every i in [0,count) on all threads of the pool, and returns when all are done.
// Tasks must not throw, and must not write to the same memory: any thread may run any of them.
void run(stylecine_cpu *cpu, int64_t count, void (*task)(void *context, int64_t i), void *context);

// The same for a lambda.
template <class Task>
void parallel(stylecine_cpu *cpu, int64_t count, Task &&task) {
  run(cpu, count, [](void *context, int64_t i) { (*static_cast<Task *>(context))(i); }, &task);
}

inline int fail(char *message, int status, const char *why) {
  if (message) std::snprintf(message, STYLECINE_MESSAGE, "%s", why);
  return status;
}

// Declares a function in the namespace of every instruction set.
#define STYLECINE_SETS(declaration) \
  namespace portable {              \
  declaration;                      \
  }                                 \
  namespace avx2 {                  \
  declaration;                      \
  }                                 \
  namespace avx512 {                \
  declaration;                      \
  }

}  // namespace stylecine
