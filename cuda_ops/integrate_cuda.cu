// integrate on the GPU: each thread advects one starting point from the first knot to the last.
#include "device.h"
#include "integrate.h"

namespace stylecine {
namespace cuda {
namespace {

// 48 registers. 16 bytes are written for each point and knot; the flow is read from caches.
__global__ void advect(stylecine_integrate_args args) {
  const int64_t plane = args.h * args.w;
  float *const __restrict__ positions = args.positions, *const __restrict__ rates = args.rates;
  const float step = float(args.stride / double(args.substeps));
  STYLECINE_STRIDE(i, args.fields * plane) {
    const Split item = split(i, plane), place = split(item.rest, args.w);
    const int64_t field = item.whole, start = item.rest;
    const float *const __restrict__ first = args.flow + field * 2 * plane;
    const Flow flow = {first, first + plane, int32_t(args.h), int32_t(args.w)};
    const float x = float(place.rest), y = float(place.whole);
    float dx = 0, dy = 0;
    Velocity rate = look_up(flow, x, y);
    for (int64_t knot = 0; knot < args.knots; ++knot) {
      for (int64_t substep = 0; knot && substep < args.substeps; ++substep) {
        const Velocity middle = look_up(flow, x + (dx + 0.5f * step * rate.x), y + (dy + 0.5f * step * rate.y));
        dx += step * middle.x;
        dy += step * middle.y;
        rate = look_up(flow, x + dx, y + dy);
      }
      const int64_t at = (knot * args.fields + field) * 2 * plane + start;
      positions[at] = dx;
      positions[at + plane] = dy;
      rates[at] = rate.x;
      rates[at + plane] = rate.y;
    }
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_integrate_cuda(const stylecine_integrate_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    cuda::advect<<<blocks(args->fields * args->h * args->w), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
