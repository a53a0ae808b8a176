// warp_features on the GPU: some threads of a warp per pixel, each on neighbouring channels.
#include "device.h"
#include "warp_features.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int WARP = 32;

template <class T, int CHANNELS>
struct alignas(CHANNELS * sizeof(T)) Stored {
  T c[CHANNELS];
};

// A pixel's 32 coefficients of CHANNELS channels, read at once: half a warp reads 64 channels of one coefficient.
// 48 registers. A pixel takes 24 bytes and, for each channel, five numbers: four coefficients, which 16 neighbours read
// from caches too, and the result.
template <class T, int CHANNELS>
__global__ void warp(stylecine_warp_features_args args) {
  constexpr int LANES = WARP / (CHANNELS > 1 ? 2 : 1);
  using Group = Stored<T, CHANNELS>;
  const int64_t pixels = args.a * args.b, groups = args.channels / CHANNELS;
  const Group *const __restrict__ spline = static_cast<const Group *>(args.spline);
  const float *const __restrict__ sources = args.sources, *const __restrict__ weights = args.weights;
  const int32_t width = int32_t(2 * args.w), height = int32_t(2 * args.h);
  STYLECINE_STRIDE(i, pixels * LANES) {
    const int64_t pixel = i / LANES;
    const Split place = split(pixel, args.b);
    const float x = float(place.rest), y = float(place.whole);
    for (int64_t group = i % LANES; group < groups; group += LANES) {
      float sum[CHANNELS] = {};
#pragma unroll 1  // 16 coefficients at a time are enough to wait for; twice as many would take twice the registers
      for (int copy = 0; copy < 2; ++copy) {
        const float *const source = sources + 2 * copy * pixels + pixel;
        const Taps across = taps(x + source[0], width), down = taps(y + source[pixels], height);
        const float share = weights[copy * pixels + pixel];
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          const Group *const row = spline + int64_t(down.at[j]) * width * groups + group;
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            const Group read = row[across.at[k] * groups];
            const float weight = share * down.weight[j] * across.weight[k];
#pragma unroll
            for (int c = 0; c < CHANNELS; ++c) sum[c] += weight * value(read.c[c]);
          }
        }
      }
      Group made;
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) made.c[c] = store(sum[c], T{});
      static_cast<Group *>(args.out)[pixel * groups + group] = made;
    }
  }
}

template <class T>
cudaError_t warp_as(const stylecine_warp_features_args &args, cudaStream_t stream) {
  constexpr int MAX_CHANNELS = 4;
  const bool aligned =
      (reinterpret_cast<uintptr_t>(args.spline) | reinterpret_cast<uintptr_t>(args.out)) % (MAX_CHANNELS * sizeof(T)) ==
      0;
  const int64_t pixels = args.a * args.b;
  if (aligned && args.channels % MAX_CHANNELS == 0)
    warp<T, MAX_CHANNELS><<<blocks(pixels * (WARP / 2)), BLOCK, 0, stream>>>(args);
  else warp<T, 1><<<blocks(pixels * WARP), BLOCK, 0, stream>>>(args);
  return cudaGetLastError();
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_warp_features_cuda(const stylecine_warp_features_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  const auto warp = args->dtype == STYLECINE_FLOAT32   ? cuda::warp_as<float>
                    : args->dtype == STYLECINE_FLOAT16 ? cuda::warp_as<cuda::half>
                                                       : cuda::warp_as<cuda::bfloat>;
  return run_on(device, stream, message, [&](cudaStream_t queue) { return warp(*args, queue); });
}
