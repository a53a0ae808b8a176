// The C interface of the CPU kernels: checks the arguments, then calls the kernel that was compiled for the pool's
// instruction set.
#include "compare.h"
#include "cpu.h"
#include "drape.h"
#include "integrate.h"
#include "render.h"
#include "splat.h"
#include "warp_features.h"

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

int enough(const void *workspace, size_t bytes, size_t wanted, char *message) {
  return workspace && bytes >= wanted ? STYLECINE_OK : fail(message, STYLECINE_MEMORY, "the workspace is too small");
}

}  // namespace stylecine

// render

namespace stylecine {
STYLECINE_SETS(void render(const stylecine_render_args &args, float *workspace, stylecine_cpu *cpu))
STYLECINE_SETS(size_t render_workspace(const stylecine_render_args &args))
}  // namespace stylecine

size_t stylecine_render_workspace_cpu(const stylecine_render_args *args, const stylecine_cpu *cpu) {
  if (stylecine::ready(args, cpu, nullptr)) return 0;
  return STYLECINE_CALL(cpu, render_workspace(*args));
}

int stylecine_render_cpu(const stylecine_render_args *args, void *workspace, size_t bytes, stylecine_cpu *cpu,
                         char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  const size_t wanted = stylecine_render_workspace_cpu(args, cpu);
  if (const int status = stylecine::enough(workspace, bytes, wanted, message)) return status;
  STYLECINE_CALL(cpu, render(*args, static_cast<float *>(workspace), cpu));
  return STYLECINE_OK;
}

// integrate

namespace stylecine {
STYLECINE_SETS(void integrate(const stylecine_integrate_args &args, stylecine_cpu *cpu))
}  // namespace stylecine

int stylecine_integrate_cpu(const stylecine_integrate_args *args, stylecine_cpu *cpu, char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  STYLECINE_CALL(cpu, integrate(*args, cpu));
  return STYLECINE_OK;
}

// splat

namespace stylecine {
STYLECINE_SETS(void splat(const stylecine_splat_args &args, void *workspace, stylecine_cpu *cpu))
STYLECINE_SETS(size_t splat_workspace(const stylecine_splat_args &args, int threads))
}  // namespace stylecine

size_t stylecine_splat_workspace_cpu(const stylecine_splat_args *args, const stylecine_cpu *cpu) {
  if (stylecine::ready(args, cpu, nullptr)) return 0;
  return STYLECINE_CALL(cpu, splat_workspace(*args, stylecine_cpu_threads(cpu)));
}

int stylecine_splat_cpu(const stylecine_splat_args *args, void *workspace, size_t bytes, stylecine_cpu *cpu,
                        char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  const size_t wanted = stylecine_splat_workspace_cpu(args, cpu);
  if (const int status = stylecine::enough(workspace, bytes, wanted, message)) return status;
  STYLECINE_CALL(cpu, splat(*args, workspace, cpu));
  return STYLECINE_OK;
}

// warp_features

namespace stylecine {
STYLECINE_SETS(void warp_features(const stylecine_warp_features_args &args, stylecine_cpu *cpu))
}  // namespace stylecine

int stylecine_warp_features_cpu(const stylecine_warp_features_args *args, stylecine_cpu *cpu, char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  STYLECINE_CALL(cpu, warp_features(*args, cpu));
  return STYLECINE_OK;
}

// compare

namespace stylecine {
STYLECINE_SETS(void compare(const stylecine_compare_args &args, stylecine_cpu *cpu))
}  // namespace stylecine

int stylecine_compare_cpu(const stylecine_compare_args *args, stylecine_cpu *cpu, char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  STYLECINE_CALL(cpu, compare(*args, cpu));
  return STYLECINE_OK;
}

// drape

namespace stylecine {
STYLECINE_SETS(void drape(const stylecine_drape_args &args, stylecine_cpu *cpu))
}  // namespace stylecine

int stylecine_drape_cpu(const stylecine_drape_args *args, stylecine_cpu *cpu, char *message) {
  if (const int status = stylecine::ready(args, cpu, message)) return status;
  STYLECINE_CALL(cpu, drape(*args, cpu));
  return STYLECINE_OK;
}
