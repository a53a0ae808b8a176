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

__device__ void show(const uint8_t *photo, int height, int width, int32_t row, float down, int32_t column, float across,
                     float slope, float *out) {
  float rows[4], columns[4];
  cardinal(down, slope, rows);
  cardinal(across, slope, columns);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int y = inside(row + j - 1, height) * width;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint8_t *const pixel = photo + int64_t(y + inside(column + i - 1, width)) * 3;
      const float weight = rows[j] * columns[i];
      for (int c = 0; c < 3; ++c) out[c] += weight * float(pixel[c]);
    }
  }
}

__device__ void draw(const stylecine_drape_args &args, int y, int x) {
  const int gh = int(args.gh), gw = int(args.gw), height = int(args.height), width = int(args.width);
  const uint8_t *const __restrict__ photo = args.photo, *const __restrict__ background = args.background;
  const uint8_t *const __restrict__ matte = args.matte;
  uint8_t *const __restrict__ frame = args.frame;
  const float *const __restrict__ field = args.field;
  const Around down = around(y, args.cell, gh), across = around(x, args.cell, gw);
  const int64_t plane = args.gh * args.gw, at = y * args.width + x;
  const float dx = field_at(field, gw, down, across);
  const float dy = field_at(field + plane, gw, down, across);
  const float gain = gamma_gain(field_at(field + 2 * plane, gw, down, across));
  int32_t row, column;
  float below, right;
  read_at(float(x) + dx, width, column, right);
  read_at(float(y) + dy, height, row, below);
  const float before = float(matte[at]) * (1 / 255.f);
  const float now = matte_at(matte, height, width, row, below, column, right);
  const uint8_t *const here = photo + 3 * at, *const behind = background + 3 * at;
  if (!(now + before > 0) && here[0] == behind[0] && here[1] == behind[1] && here[2] == behind[2]) return;
  const Shares part = shares(now, before, gain, unmoved(dx, dy));
  float shown[3] = {0, 0, 0};
  if (now > 0) show(photo, height, width, row, below, column, right, slope_of(args), shown);
  const float noise = args.fine ? dither(y, x) : 0.5f;
  for (int c = 0; c < 3; ++c) {
    uint8_t *const out = frame + 3 * at + c;
    const float sum = noise + part.cloth * shown[c] + part.photo * float(here[c]) + part.background * float(behind[c]) +
                      part.frame * float(*out);
    *out = uint8_t(clamp(sum, 0, 255.5f));
  }
}

// 48 registers. 13 bytes a pixel in tiles that change: photo, background and matte are read, the frame is read and
// written; the 16 pixels of the photo that a pixel of the cloth is made of, and the fields, come from caches.
__global__ void drape(const __grid_constant__ stylecine_drape_args args) {
  if (!args.active[blockIdx.x]) return;
  const int across = (int(args.width) + TILE - 1) / TILE;
  const int top = int(blockIdx.x) / across * TILE, left = int(blockIdx.x) % across * TILE;
  for (int p = threadIdx.x; p < TILE * TILE; p += BLOCK) {
    const int y = top + p / TILE, x = left + p % TILE;
    if (y < args.height && x < args.width) draw(args, y, x);
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
