// drape on the GPU: threads over the pixels of all tiles.
#include "device.h"
#include "drape.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int64_t TILE = kDrapeTile;

__device__ float field_at(const float *plane, int64_t pitch, const Around &down, const Around &across) {
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

__device__ void show(const stylecine_drape_args &args, int32_t row, float down, int32_t column, float across,
                     float *out) {
  float rows[4], columns[4];
  catmull_rom(down, rows);
  catmull_rom(across, columns);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const int64_t y = max_of(0, min_of(row + j - 1, args.height - 1)) * args.width;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint8_t *const pixel = args.photo + (y + max_of(0, min_of(column + i - 1, args.width - 1))) * 3;
      const float weight = rows[j] * columns[i];
      for (int c = 0; c < 3; ++c) out[c] += weight * float(pixel[c]);
    }
  }
}

__device__ void draw(const stylecine_drape_args &args, int64_t y, int64_t x) {
  const Around down = around(y, args.cell, args.gh), across = around(x, args.cell, args.gw);
  const int64_t plane = args.gh * args.gw, at = y * args.width + x;
  const float dx = field_at(args.field, args.gw, down, across);
  const float dy = field_at(args.field + plane, args.gw, down, across);
  const float gain = gamma_gain(field_at(args.field + 2 * plane, args.gw, down, across));
  int32_t row, column;
  float below, right;
  read_at(float(x) + dx, args.width, column, right);
  read_at(float(y) + dy, args.height, row, below);
  const float before = float(args.matte[at]) * (1 / 255.f);
  const float now = matte_at(args.matte, args.height, args.width, row, below, column, right);
  const uint8_t *const photo = args.photo + 3 * at, *const background = args.background + 3 * at;
  if (!(now + before > 0) && photo[0] == background[0] && photo[1] == background[1] && photo[2] == background[2])
    return;
  const Shares part = shares(now, before, gain, unmoved(dx, dy));
  float shown[3] = {0, 0, 0};
  if (now > 0) show(args, row, below, column, right, shown);
  for (int c = 0; c < 3; ++c) {
    uint8_t *const out = args.frame + 3 * at + c;
    const float sum = 0.5f + part.cloth * shown[c] + part.photo * float(photo[c]) +
                      part.background * float(background[c]) + part.frame * float(*out);
    *out = uint8_t(clamp(sum, 0, 255.5f));
  }
}

// 72 registers. 13 bytes a pixel in tiles that change: photo, background and matte are read, the frame is read and
// written; the 16 pixels of the photo that a pixel of the cloth is made of, and the fields, come from caches.
__global__ void drape(stylecine_drape_args args) {
  const int64_t wide = (args.width + TILE - 1) / TILE, high = (args.height + TILE - 1) / TILE;
  STYLECINE_STRIDE(i, wide * high * TILE * TILE) {
    const int64_t tile = i / (TILE * TILE), inside = i % (TILE * TILE);
    const int64_t y = tile / wide * TILE + inside / TILE, x = tile % wide * TILE + inside % TILE;
    if (args.active[tile] && y < args.height && x < args.width) draw(args, y, x);
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
    cuda::drape<<<blocks(tiles * cuda::TILE * cuda::TILE), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
