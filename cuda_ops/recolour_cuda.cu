// recolour on the GPU: one thread per pixel. The blocks of a place's frames are neighbours, as their transforms are.
#include "device.h"
#include "recolour.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int BATCH = 16;  // frames of a launch

// What a kernel could not read from the host's memory.
struct Frames {
  int64_t first;  // of them
  int count;
  float amount[BATCH];
};

// A column of a transform.
struct alignas(16) Column {
  float c[4];
};

// Adds to `sum` what the grid adds to a pixel.
__device__ void add_transform(const stylecine_recolour_args &args, int64_t y, int64_t x, const float *colour,
                              float *sum) {
  const Column *const __restrict__ grid = reinterpret_cast<const Column *>(args.grid);
  const Between down = across(y, args.height, args.gh), right = across(x, args.width, args.gw);
  const Between level = between(luma_of(colour[0], colour[1], colour[2]) * float(args.depth - 1), args.depth);
#pragma unroll 2  // both lumas of a place; more at a time would take more registers
  for (int corner = 0; corner < 8; ++corner) {
    const uint32_t d = corner & 1 ? level.second : level.first, column = corner & 2 ? right.second : right.first,
                   row = corner & 4 ? down.second : down.first;
    const float weight = (corner & 1 ? level.f : 1 - level.f) * (corner & 2 ? right.f : 1 - right.f) *
                         (corner & 4 ? down.f : 1 - down.f);
    const uint64_t transform = 4 * uint64_t((d * uint32_t(args.gh) + row) * uint32_t(args.gw) + column);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const Column read = grid[transform + k];
      const float share = weight * colour[k];
      for (int c = 0; c < 3; ++c) sum[c] += share * read.c[c];
    }
  }
}

// 56 registers. 6 bytes a pixel, 7 with a mask of what moves, 10 with a still picture
// as well; the grid stays in caches.
__global__ void recolour_pixels(stylecine_recolour_args args, const __grid_constant__ Frames frames) {
  const int n = int(blockIdx.x) % frames.count;
  const int64_t pixels = args.height * args.width, begin = 3 * (frames.first + n) * pixels;
  STYLECINE_STRIDE_OF_FRAMES(i, pixels, frames.count) {
    const Split place = split(i, args.width);
    const int64_t y = place.whole, x = place.rest;
    const uint8_t *const pixel = args.frame + begin + 3 * i;
    uint8_t *const out = args.out + begin + 3 * i;
    const float colour[4] = {float(pixel[0]), float(pixel[1]), float(pixel[2]), 255};
    float sum[3] = {0, 0, 0};
    if (args.moving && !args.moving[i] && !args.still) {
      for (int c = 0; c < 3; ++c) out[c] = pixel[c];
      continue;
    }
    if (args.moving && !args.moving[i])
      for (int c = 0; c < 3; ++c) sum[c] = float(args.still[3 * i + c]) - colour[c];
    else add_transform(args, y, x, colour, sum);
    const float noise = dither(y, x);
    for (int c = 0; c < 3; ++c) {
      const float added = clamp(colour[c] + sum[c], 0, 255) - colour[c];
      out[c] = uint8_t(clamp(colour[c] + frames.amount[n] * added, 0, 255) + noise);
    }
  }
}

}  // namespace

cudaError_t recolour(const stylecine_recolour_args &args, cudaStream_t queue) {
  for (int64_t first = 0; first < args.frames; first += BATCH) {
    Frames frames = {first, int(min_of(BATCH, args.frames - first)), {}};
    for (int n = 0; n < frames.count; ++n) frames.amount[n] = args.amount[first + n];
    recolour_pixels<<<blocks(args.height * args.width) * frames.count, BLOCK, 0, queue>>>(args, frames);
    if (const cudaError_t status = cudaGetLastError()) return status;
  }
  return cudaSuccess;
}

}  // namespace cuda
}  // namespace stylecine

int stylecine_recolour_cuda(const stylecine_recolour_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  if (!readable(*args)) return fail(message, STYLECINE_INVALID, UNREADABLE_GRID);
  return run_on(device, stream, message, [&](cudaStream_t queue) { return cuda::recolour(*args, queue); });
}
