// drape on the GPU: one block per tile.
#include "device.h"
#include "drape.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int TILE = kDrapeTile;

__device__ float field_at(const float *plane, int pitch, const Around &down, const Around &across) {
  float sum = 0;
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float *const row = plane + down.at[j] * pitch;
    float line = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) line += across.weight[i] * row[across.at[i]];
    sum += down.weight[j] * line;
  }
  return sum;
}

__device__ void draw_at(const stylecine_drape_args &args, int y, int x) {
  const int gh = int(args.gh), gw = int(args.gw);
  const float *const __restrict__ field = args.field;
  const Around down = around(y, args.cell, gh), across = around(x, args.cell, gw);
  const int64_t plane = args.gh * args.gw;
  const float dx = field_at(field, gw, down, across);
  const float dy = field_at(field + plane, gw, down, across);
  draw(args, y, x, dx, dy, gamma_gain(field_at(field + 2 * plane, gw, down, across)));
}

// 48 registers. 13 bytes a pixel in tiles that change: photo, background and matte are read, the frame is read and
// written; the 16 pixels of the photo that a pixel of the cloth is made of, and the fields, come from caches.
__global__ void drape(const __grid_constant__ stylecine_drape_args args) {
  if (!args.active[blockIdx.x]) return;
  const int across = (int(args.width) + TILE - 1) / TILE;
  const int top = int(blockIdx.x) / across * TILE, left = int(blockIdx.x) % across * TILE;
  for (int p = threadIdx.x; p < TILE * TILE; p += BLOCK) {
    const int y = top + p / TILE, x = left + p % TILE;
    if (y < args.height && x < args.width) draw_at(args, y, x);
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_drape_cuda(const stylecine_drape_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  const int64_t tiles = (args->width + cuda::TILE - 1) / cuda::TILE * ((args->height + cuda::TILE - 1) / cuda::TILE);
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    cuda::drape<<<unsigned(tiles), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
