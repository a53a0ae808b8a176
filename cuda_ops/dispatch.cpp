// The C interface of the CPU kernels: checks the arguments, then calls the kernel that was compiled for the pool's
// instruction set.
#include "cpu.h"

// call(cpu, f(arguments)): f in the pool's namespace.
#if defined(__x86_64__)
#define STYLECINE_CALL(cpu, call) \
  (stylecine_cpu_instructions(cpu) == STYLECINE_AVX512 ? stylecine::avx512::call \
   : stylecine_cpu_instructions(cpu) == STYLECINE_AVX2 ? stylecine::avx2::call \
                                                       : stylecine::portable::call)
#else
#define STYLECINE_CALL(cpu, call) stylecine::portable::call
#endif

// render

#ifndef STYLECINE_SET
#define STYLECINE_SET portable
#endif
#include "render.h"

namespace stylecine {
STYLECINE_SETS(int render(const stylecine_render_args &args, float *workspace, stylecine_cpu *cpu))
STYLECINE_SETS(size_t render_workspace(const stylecine_render_args &args))
}  // namespace stylecine

size_t stylecine_render_workspace_cpu(const stylecine_render_args *args, const stylecine_cpu *cpu) {
  if (stylecine::check(args, nullptr) != STYLECINE_OK || !cpu) return 0;
  return STYLECINE_CALL(cpu, render_workspace(*args));
}

int stylecine_render_cpu(const stylecine_render_args *args, void *workspace, size_t bytes, stylecine_cpu *cpu,
                         char *message) {
  const int status = stylecine::check(args, message);
  if (status != STYLECINE_OK) return status;
  if (!cpu) return stylecine::fail(message, STYLECINE_INVALID, "cpu is NULL");
  if (!workspace || bytes < stylecine_render_workspace_cpu(args, cpu))
    return stylecine::fail(message, STYLECINE_MEMORY, "the workspace is too small");
  return STYLECINE_CALL(cpu, render(*args, static_cast<float *>(workspace), cpu));
}
