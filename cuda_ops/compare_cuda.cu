// compare on the GPU: one warp per block of pixels.
#include "device.h"
#include "compare.h"
#include "sampling_cuda.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int LANES = 32;

// 62 registers, 48 for 16-bit numbers. A pixel takes 36 bytes (floats: 68) from memory, of them 4 its weight; both
// copies read 16 coefficients each, mostly from caches.
template <class T>
__global__ void products(stylecine_compare_args args) {
  const Grid grid = {args.rows, args.columns, args.ratio};
  const int side = args.side, wide = (int(args.w) + side - 1) / side, high = (int(args.h) + side - 1) / side;
  const int width = int(2 * args.w), height = int(2 * args.h);
  STYLECINE_STRIDE(i, int64_t(high) * wide * LANES) {
    const int64_t block = i / LANES;
    const int top = int(block) / wide * side, left = int(block) % wide * side;
    const int lane = int(i % LANES), rows = int(min_of(side, args.h - top)), columns = int(min_of(side, args.w - left));
    float sum[kProducts] = {};
    for (int p = lane; p < rows * columns; p += LANES) {
      const int y = top + p / columns, x = left + p % columns;
      const float weight = args.weight[int64_t(y) * args.w + x];
      if (weight == 0) continue;
      const Around around(grid, y, x);
      Pixel shown[2] = {};
#pragma unroll
      for (int copy = 0; copy < 2; ++copy) {
        const float *const __restrict__ source = args.sources + 2 * copy * grid.rows * grid.columns;
        const float dx = around.read(source), dy = around.read(source + grid.rows * grid.columns);
        const float px = 2 * float(x) + dx * (2 * args.per_pixel), py = 2 * float(y) + dy * (2 * args.per_pixel);
        add_copy<T>(args.spline, height, width, px, py, 1, shown[copy]);
      }
#pragma unroll
      for (int c = 0; c < 3; ++c) {
        const float a = shown[0].c[c], b = shown[1].c[c];
        sum[0] += weight * a * a;
        sum[1] += weight * b * b;
        sum[2] += weight * a * b;
      }
    }
#pragma unroll
    for (int k = 0; k < kProducts; ++k) {
      for (int lanes = LANES / 2; lanes > 0; lanes /= 2) sum[k] += __shfl_xor_sync(0xffffffffu, sum[k], lanes);
      if (lane == 0) args.out[int64_t(k) * high * wide + block] = sum[k] / float(rows * columns);
    }
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_compare_cuda(const stylecine_compare_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  if (!cuda::readable(args->spline, args->dtype))
    return fail(message, STYLECINE_INVALID, "the spline has to lie at a multiple of the size of four numbers");
  const int64_t count = cuda::blocks_along(args->h, args->side) * cuda::blocks_along(args->w, args->side);
  const auto products = args->dtype == STYLECINE_FLOAT32   ? cuda::products<float>
                        : args->dtype == STYLECINE_FLOAT16 ? cuda::products<cuda::half>
                                                           : cuda::products<cuda::bfloat>;
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    products<<<blocks(count * cuda::LANES), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
