// The C interface of the CPU kernels: checks the arguments, then calls the kernel compiled for the pool's instruction
// set.
#include "compare.h"
#include "cpu.h"
#include "drape.h"
#include "integrate.h"
#include "recolour.h"
#include "render.h"
#include "splat.h"
#include "warp_features.h"
#include "weather.h"

// call(cpu, f(arguments)): f in the pool's namespace.
#if defined(__x86_64__)
#define STYLECINE_CALL(cpu, call)                                                \
  (stylecine_cpu_instructions(cpu) == STYLECINE_AVX512 ? stylecine::avx512::call \
   : stylecine_cpu_instructions(cpu) == STYLECINE_AVX2 ? stylecine::avx2::call   \
                                                       : stylecine::portable::call)
#else
#define STYLECINE_CALL(cpu, call) stylecine::portable::call
#endif

namespace stylecine {

template <class Args>
int ready(const Args *args, const stylecine_cpu *cpu, char *message) {
  const int status = check(args, message);
  return status != STYLECINE_OK || cpu ? status : fail(message, STYLECINE_INVALID, "cpu is NULL");
}

}  // namespace stylecine

// A kernel without a workspace: its declarations, one for each instruction set, and its C function.
#define STYLECINE_KERNEL(name)                                                                         \
  namespace stylecine {                                                                                \
  STYLECINE_SETS(void name(const stylecine_##name##_args &args, stylecine_cpu *cpu))                   \
  }                                                                                                    \
  int stylecine_##name##_cpu(const stylecine_##name##_args *args, stylecine_cpu *cpu, char *message) { \
    if (const int status = stylecine::ready(args, cpu, message)) return status;                        \
    STYLECINE_CALL(cpu, name(*args, cpu));                                                             \
    return STYLECINE_OK;                                                                               \
  }

STYLECINE_KERNEL(integrate)
STYLECINE_KERNEL(warp_features)
STYLECINE_KERNEL(compare)
STYLECINE_KERNEL(drape)
STYLECINE_KERNEL(recolour)
STYLECINE_KERNEL(weather)

// The same with a workspace.
#define STYLECINE_KERNEL_WITH_WORKSPACE(name)                                                                        \
  namespace stylecine {                                                                                              \
  STYLECINE_SETS(void name(const stylecine_##name##_args &args, void *workspace, stylecine_cpu *cpu))                \
  STYLECINE_SETS(size_t name##_workspace(const stylecine_##name##_args &args, int threads))                          \
  }                                                                                                                  \
  size_t stylecine_##name##_workspace_cpu(const stylecine_##name##_args *args, const stylecine_cpu *cpu) {           \
    if (stylecine::ready(args, cpu, nullptr)) return 0;                                                              \
    return STYLECINE_CALL(cpu, name##_workspace(*args, stylecine_cpu_threads(cpu)));                                 \
  }                                                                                                                  \
  int stylecine_##name##_cpu(const stylecine_##name##_args *args, void *workspace, size_t bytes, stylecine_cpu *cpu, \
                             char *message) {                                                                        \
    if (const int status = stylecine::ready(args, cpu, message)) return status;                                      \
    if (!workspace || bytes < STYLECINE_CALL(cpu, name##_workspace(*args, stylecine_cpu_threads(cpu))))              \
      return stylecine::fail(message, STYLECINE_MEMORY, "the workspace is too small");                               \
    STYLECINE_CALL(cpu, name(*args, workspace, cpu));                                                                \
    return STYLECINE_OK;                                                                                             \
  }

STYLECINE_KERNEL_WITH_WORKSPACE(render)
STYLECINE_KERNEL_WITH_WORKSPACE(splat)
