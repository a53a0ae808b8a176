// weather on the GPU: one block per tile of each frame; those of the same tile are neighbours, as their distance and
// veil are.
#include "device.h"
#include "weather.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int SIDE = 32;                   // pixels of a tile
constexpr int EACH = SIDE * SIDE / BLOCK;  // of them are a thread's: one above the other, STEP rows apart
constexpr int STEP = SIDE / EACH;
constexpr int WARP = 32;  // threads
static_assert(SIDE == WARP, "a warp has a row");

constexpr int BATCH = 16;  // frames of a launch

// What a kernel could not read from the host's memory.
struct Frames {
  int64_t first;  // of them
  int count;
  int64_t first_streak[BATCH];
  int streaks[BATCH];
  float veil_colour[BATCH][3], streak_colour[BATCH][3];
};

// How much of the frame is seen through the streaks at a thread's pixels: the block looks for those that meet its tile,
// as many at a time as it has threads, then every thread goes through those.
__device__ void look_through(const stylecine_streak *__restrict__ streaks, int count, int top, int left,
                             float (&seen)[EACH]) {
  __shared__ uint32_t met[BLOCK / WARP];  // a bit for each
  const int row = int(threadIdx.x) / WARP, column = int(threadIdx.x) % WARP;
  for (int begin = 0; begin < count; begin += BLOCK) {
    const int mine = begin + int(threadIdx.x);
    bool meeting = false;
    if (mine < count) {
      const stylecine_streak streak = streaks[mine];
      meeting = meets(reach(streak.y, streak.dy, streak.radius), float(top), float(top + SIDE - 1)) &&
                meets(reach(streak.x, streak.dx, streak.radius), float(left), float(left + SIDE - 1));
    }
    const uint32_t of_warp = __ballot_sync(0xffffffffu, meeting);
    if (column == 0) met[row] = of_warp;
    if (__syncthreads_or(meeting)) {
      for (int i = 0; i < BLOCK / WARP; ++i)
        for (uint32_t left_over = met[i]; left_over; left_over &= left_over - 1) {
          const stylecine_streak streak = streaks[begin + WARP * i + __ffs(int(left_over)) - 1];
          const float across = float(left + column) - streak.x;
#pragma unroll
          for (int k = 0; k < EACH; ++k) seen[k] *= 1 - hidden(streak, across, float(top + row + STEP * k) - streak.y);
        }
    }
    __syncthreads();
  }
}

// 40 registers. 7 bytes a pixel: the frame is read and written, and the distance read; streaks and the veil come from
// caches.
__global__ void weather(const __grid_constant__ stylecine_weather_args args, const __grid_constant__ Frames frames,
                        const stylecine_streak *__restrict__ streaks, const float *__restrict__ veils,
                        const uint8_t *__restrict__ distance) {
  const int n = int(blockIdx.x) % frames.count, tile = int(blockIdx.x) / frames.count;
  const int height = int(args.height), width = int(args.width), wide = (width + SIDE - 1) / SIDE;
  const int top = tile / wide * SIDE, left = tile % wide * SIDE, x = left + int(threadIdx.x) % WARP;
  float seen[EACH];
  for (float &share : seen) share = 1;
  look_through(streaks + frames.first_streak[n], frames.streaks[n], top, left, seen);
  if (x >= width) return;
  const float *const veil = veils + (frames.first + n) * args.gh * args.gw;
  const Between right = across(x, width, args.gw);
#pragma unroll
  for (int k = 0; k < EACH; ++k) {
    const int y = top + int(threadIdx.x) / WARP + STEP * k, at = y * width + x;
    if (y >= height) return;
    const Between down = across(y, height, args.gh);
    const float *const above = veil + down.first * args.gw, *const below = veil + down.second * args.gw;
    const float opacity = blend(blend(above[right.first], below[right.first], down.f),
                                blend(above[right.second], below[right.second], down.f), right.f);
    const Mix share = mix(seen[k], fog_of(opacity, distance[at]));
    const int64_t pixel = 3 * ((frames.first + n) * height * width + at);
    const float noise = dither(y, x);
    for (int c = 0; c < 3; ++c) {
      const float sum = float(args.frame[pixel + c]) * share.frame + frames.veil_colour[n][c] * share.veil +
                        frames.streak_colour[n][c] * share.streaks;
      args.out[pixel + c] = uint8_t(clamp(sum + noise, 0, 255.5f));
    }
  }
}

Frames frames_of(const stylecine_weather_args &args, int64_t first) {
  Frames frames = {first, int(min_of(BATCH, args.frames - first)), {}, {}, {}, {}};
  for (int n = 0; n < frames.count; ++n) {
    const int64_t i = first + n;
    frames.first_streak[n] = args.first[i], frames.streaks[n] = int(args.first[i + 1] - args.first[i]);
    for (int c = 0; c < 3; ++c) {
      frames.veil_colour[n][c] = args.veil_colours[3 * i + c];
      frames.streak_colour[n][c] = args.streak_colours[3 * i + c];
    }
  }
  return frames;
}

cudaError_t weather_of_frames(const stylecine_weather_args &args, cudaStream_t queue) {
  const int64_t tiles = (args.height + SIDE - 1) / SIDE * ((args.width + SIDE - 1) / SIDE);
  for (int64_t first = 0; first < args.frames; first += BATCH) {
    const Frames frames = frames_of(args, first);
    weather<<<unsigned(tiles * frames.count), BLOCK, 0, queue>>>(args, frames, args.streaks, args.veil, args.distance);
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
