// warp_features on the GPU: one warp per pixel, its threads on neighbouring channels.
#include "device.h"
#include "warp_features.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int LANES = 32;

template <class T>
__global__ void warp(stylecine_warp_features_args args) {
  const T *const spline = static_cast<const T *>(args.spline);
  const int64_t pixels = args.a * args.b, pitch = 2 * args.w;
  const int32_t width = int32_t(2 * args.w), height = int32_t(2 * args.h);
  STYLECINE_STRIDE(i, pixels * LANES) {
    const int64_t pixel = i / LANES, lane = i % LANES;
    const float x = float(pixel % args.b), y = float(pixel / args.b);
    const float *const source = args.sources + pixel;
    const Taps across[2] = {taps(x + source[0], width), taps(x + source[2 * pixels], width)};
    const Taps down[2] = {taps(y + source[pixels], height), taps(y + source[3 * pixels], height)};
    for (int64_t channel = lane; channel < args.channels; channel += LANES) {
      float sum = 0;
#pragma unroll
      for (int copy = 0; copy < 2; ++copy) {
        const float share = args.weights[copy * pixels + pixel];
#pragma unroll
        for (int j = 0; j < 4; ++j)
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            const T read = spline[(down[copy].at[j] * pitch + across[copy].at[k]) * args.channels + channel];
            sum += share * down[copy].weight[j] * across[copy].weight[k] * value(read);
          }
      }
      static_cast<T *>(args.out)[pixel * args.channels + channel] = store(sum, T{});
    }
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_warp_features_cuda(const stylecine_warp_features_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  const auto warp = args->dtype == STYLECINE_FLOAT32   ? cuda::warp<float>
                    : args->dtype == STYLECINE_FLOAT16 ? cuda::warp<cuda::half>
                                                       : cuda::warp<cuda::bfloat>;
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    warp<<<blocks(args->a * args->b * cuda::LANES), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
