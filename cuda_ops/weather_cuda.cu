// weather on the GPU: one block per tile of a frame.
#include "device.h"
#include "weather.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int SIDE = 16;  // pixels of a tile; one thread each
static_assert(SIDE * SIDE == BLOCK, "a thread per pixel");

struct Colours {
  float veil[3], streaks[3];
};

// How much of the frame is seen through the streaks at a thread's pixel: the block looks for those that meet its tile,
// as many at a time as it has threads, then every thread goes through those.
__device__ float through(const stylecine_streak *__restrict__ streaks, int count, int top, int left, int y, int x) {
  __shared__ uint32_t met[BLOCK / 4];  // a byte for each
  float product = 1;
  for (int begin = 0; begin < count; begin += BLOCK) {
    const int mine = begin + int(threadIdx.x);
    bool meeting = false;
    if (mine < count) {
      const stylecine_streak streak = streaks[mine];
      meeting = meets(reach(streak.y, streak.dy, streak.radius), float(top), float(top + SIDE - 1)) &&
                meets(reach(streak.x, streak.dx, streak.radius), float(left), float(left + SIDE - 1));
    }
    reinterpret_cast<uint8_t *>(met)[threadIdx.x] = meeting;
    if (__syncthreads_or(meeting)) {
      for (int i = 0; i < BLOCK / 4; ++i) {
        const uint32_t four = met[i];
        for (int k = 0; four >> 8 * k && k < 4; ++k)
          if (four >> 8 * k & 1) {
            const stylecine_streak &streak = streaks[begin + 4 * i + k];
            product *= 1 - hidden(streak, float(x) - streak.x, float(y) - streak.y);
          }
      }
    }
    __syncthreads();
  }
  return product;
}

// 30 registers. 7 bytes a pixel: the frame is read and written, and the distance read; streaks and the veil come from
// caches.
__global__ void weather(const __grid_constant__ stylecine_weather_args args,
                        const stylecine_streak *__restrict__ streaks, int count, Colours colours) {
  const int height = int(args.height), width = int(args.width), wide = (width + SIDE - 1) / SIDE;
  const int top = int(blockIdx.x) / wide * SIDE, left = int(blockIdx.x) % wide * SIDE;
  const int y = top + int(threadIdx.x) / SIDE, x = left + int(threadIdx.x) % SIDE;
  const float seen = through(streaks, count, top, left, y, x);
  if (y >= height || x >= width) return;
  const Between down = across(y, height, args.gh), right = across(x, width, args.gw);
  const float *const __restrict__ above = args.veil + down.first * args.gw;
  const float *const __restrict__ below = args.veil + down.second * args.gw;
  const uint8_t *const __restrict__ distance = args.distance;
  const float veil = blend(blend(above[right.first], below[right.first], down.f),
                           blend(above[right.second], below[right.second], down.f), right.f);
  const int at = y * width + x;
  const Mix share = mix(seen, fog_of(veil, distance[at]));
  const float noise = dither(y, x);
  for (int c = 0; c < 3; ++c) {
    const float sum = float(args.frame[3 * int64_t(at) + c]) * share.frame + colours.veil[c] * share.veil +
                      colours.streaks[c] * share.streaks;
    args.out[3 * int64_t(at) + c] = uint8_t(clamp(sum + noise, 0, 255.5f));
  }
}

cudaError_t weather_of_frames(const stylecine_weather_args &args, cudaStream_t queue) {
  const int64_t pixels = args.height * args.width;
  const int64_t tiles = (args.height + SIDE - 1) / SIDE * ((args.width + SIDE - 1) / SIDE);
  stylecine_weather_args one = args;
  for (int64_t i = 0; i < args.frames; ++i) {
    one.frame = args.frame + 3 * i * pixels, one.out = args.out + 3 * i * pixels;
    one.veil = args.veil + i * args.gh * args.gw;
    Colours colours;
    for (int c = 0; c < 3; ++c)
      colours.veil[c] = args.veil_colours[3 * i + c], colours.streaks[c] = args.streak_colours[3 * i + c];
    const int count = int(args.first[i + 1] - args.first[i]);
    const stylecine_streak *const streaks = count ? args.streaks + args.first[i] : nullptr;
    weather<<<unsigned(tiles), BLOCK, 0, queue>>>(one, streaks, count, colours);
    if (const cudaError_t status = cudaGetLastError()) return status;
  }
  return cudaSuccess;
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_weather_cuda(const stylecine_weather_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  return run_on(device, stream, message, [&](cudaStream_t queue) { return cuda::weather_of_frames(*args, queue); });
}
