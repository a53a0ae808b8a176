// drape on the GPU: one block per tile of each frame; those of the same tile are neighbours.
#include "device.h"
#include "drape.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int TILE = kDrapeTile;
constexpr int POINTS = kDrapePoints;

// A frame's field around a tile.
struct Field {
  float at[3][POINTS][POINTS];
  int top, left;  // the first point, before they are held to the grid
};

__device__ float field_at(const Field &field, int k, const Position &down, const Position &across) {
  float rows[4], columns[4], sum = 0;
  cubic(down.f, rows[0], rows[1], rows[2], rows[3]);
  cubic(across.f, columns[0], columns[1], columns[2], columns[3]);
#pragma unroll
  for (int j = 0; j < 4; ++j) {
    const float *const row = field.at[k][down.second - 1 + j - field.top] + (across.second - 1 - field.left);
    float line = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) line += columns[i] * row[i];
    sum += rows[j] * line;
  }
  return sum;
}

// By all threads of a block.
__device__ void read_field(const stylecine_drape_args &args, int frame, int top, int left, Field &field) {
  const int gh = int(args.gh), gw = int(args.gw), keys = int(args.keys);
  const float *const __restrict__ weights = args.weights + int64_t(frame) * keys;
  const int64_t plane = args.gh * args.gw;
  const int first_row = first_point(top, args.cell), rows = points_to(top + TILE - 1, args.cell, first_row);
  const int first = first_point(left, args.cell), columns = points_to(left + TILE - 1, args.cell, first);
  for (int i = threadIdx.x; i < 3 * rows * columns; i += BLOCK) {
    const int k = i / (rows * columns), y = i / columns % rows, x = i % columns;
    const float *const __restrict__ point =
        args.keyframes + k * plane + int64_t(inside(first_row + y, gh)) * gw + inside(first + x, gw);
    float sum = 0;
    for (int key = 0; key < keys; ++key) sum += weights[key] * point[3 * plane * key];
    field.at[k][y][x] = sum;
  }
  if (!threadIdx.x) field.top = first_row, field.left = first;
}

__device__ void draw_at(const stylecine_drape_args &args, int frame, int y, int x, const Field &field) {
  const Position down = position_of(y, args.cell), across = position_of(x, args.cell);
  const float dx = field_at(field, 0, down, across), dy = field_at(field, 1, down, across);
  uint8_t *const out = args.frame + 3 * args.height * args.width * frame;
  draw(args, out, y, x, dx, dy, gamma_gain(field_at(field, 2, down, across)));
}

// 48 registers. 13 bytes a pixel in tiles that change: photo, background and matte are read, the frame is read and
// written; the 16 pixels of the photo that a pixel of the cloth is made of, and the keyframes, come from caches.
__global__ void drape(const __grid_constant__ stylecine_drape_args args) {
  const int frame = int(blockIdx.x) % int(args.frames), tile = int(blockIdx.x) / int(args.frames);
  if (!args.active[tile]) return;
  __shared__ Field field;
  const int wide = (int(args.width) + TILE - 1) / TILE;
  const int top = tile / wide * TILE, left = tile % wide * TILE;
  read_field(args, frame, top, left, field);
  __syncthreads();
  for (int p = threadIdx.x; p < TILE * TILE; p += BLOCK) {
    const int y = top + p / TILE, x = left + p % TILE;
    if (y < args.height && x < args.width) draw_at(args, frame, y, x, field);
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

int stylecine_drape_cuda(const stylecine_drape_args *args, int device, void *stream, char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    cuda::drape<<<unsigned(drape_tiles(*args) * args->frames), BLOCK, 0, queue>>>(*args);
    return cudaGetLastError();
  });
}
