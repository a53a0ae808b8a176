// render on the GPU: first the fields, one thread per grid point; then one block per tile, whose levels are summed in
// shared memory.
#include "device.h"
#include "render.h"
#include "sampling_cuda.h"

namespace stylecine {
namespace cuda {
namespace {

constexpr int TILE = 32;             // pixels
constexpr int PATCH = TILE / 2 + 2;  // pixels of a tile in the second level

// All parameters of a frame by value, as a kernel cannot read the host's memory.
struct Frame {
  stylecine_render_args args;
  stylecine_level level[kMaxLevels];
  float length[kMaxSubCycles], phase[kMaxSubCycles], shift[kMaxSubCycles];
  Plan plan;
  float *workspace;
};

__global__ void fill(const __grid_constant__ Frame frame) {
  const stylecine_render_args &args = frame.args;
  const int64_t points = args.gh * args.gw;
  STYLECINE_STRIDE(i, points) {
    const int turn = args.turn[i] < args.turns ? args.turn[i] : 0;
    const Phase now = args.stagger ? phase_of(frame.phase[turn], frame.shift[turn], args.stagger[i])
                                   : Phase{frame.phase[turn], false};
    const float phase = now.phase;
    for (int axis = 0; axis < 4; ++axis) {  // copy A is displaced backward (the second field), copy B forward
      const bool is_a = (axis < 2) != now.swapped;
      const int64_t at = ((is_a ? 2 : 0) + axis % 2) * points + i;
      const Moment then =
          moment(frame.length[turn] * (is_a ? phase : 1 - phase), args.stride, args.knots, float(args.cell));
      float source = displaced(then, args.positions + at, args.rates + at, 4 * points);
      if (args.roll) source += swell_offset(args, args.roll + axis % 2 * points + i, 2 * points);
      frame.workspace[axis * points + i] = source;
    }
    const float share = copy_b_share(phase, args.change + i, points);
    for (int level = 0; level < args.levels; ++level) {
      float theta = 0, gain_a = 0, gain_b = 0;
      for (int knot = 0; knot < kPhases; ++knot) {
        const Hats hat = hats(knot, phase);
        const int64_t lift = (kPhases * 2 * level + knot) * points + i;
        theta += hat.angle * args.angle[(kPhases * level + knot) * points + i];
        gain_a += hat.gain_a * (args.lift[lift] - 1);
        gain_b += hat.gain_b * (args.lift[lift + kPhases * points] - 1);
      }
      float a, b;
      mixing(theta, gain_a, gain_b, share, a, b);
      frame.workspace[(4 + 2 * level) * points + i] = now.swapped ? b : a;
      frame.workspace[(5 + 2 * level) * points + i] = now.swapped ? a : b;
    }
  }
}

// Fields of a level whose pixels hold several cells: the cells' means.
__global__ void average(const __grid_constant__ Frame frame, int level) {
  const stylecine_render_args &args = frame.args;
  const Fields &fields = frame.plan.fields[level];
  const int64_t points = args.gh * args.gw, pixels = fields.rows * fields.columns,
                wide = (int64_t(1) << level) / args.cell;
  STYLECINE_STRIDE(i, 6 * pixels) {
    const int64_t k = i / pixels, row = i % pixels / fields.columns, column = i % fields.columns;
    const float *plane = frame.workspace + (k < 4 ? k : 2 * level + k) * points;
    const int64_t bottom = min_of((row + 1) * wide, args.gh), right = min_of((column + 1) * wide, args.gw);
    float sum = 0;
    for (int64_t y = row * wide; y < bottom; ++y)
      for (int64_t x = column * wide; x < right; ++x) sum += plane[y * args.gw + x];
    frame.workspace[fields.plane[k] + i % pixels] = sum / float((bottom - row * wide) * (right - column * wide));
  }
}

// Adds a level at one of its pixels.
__device__ void add_level(const Frame &frame, int i, int64_t y, int64_t x, Pixel &sum) {
  const stylecine_level &level = frame.level[i];
  const Fields &fields = frame.plan.fields[i];
  const Around around(fields, y, x);
  float field[6];
#pragma unroll
  for (int k = 0; k < 6; ++k) field[k] = around.read(frame.workspace + fields.plane[k]);
  const int height = int(2 * level.h), width = int(2 * level.w);
  const float scale = 2.0f / float(level.scale);
#pragma unroll
  for (int copy = 0; copy < 2; ++copy) {
    const float px = 2 * float(x) + field[2 * copy] * scale, py = 2 * float(y) + field[2 * copy + 1] * scale;
    if (level.dtype == STYLECINE_FLOAT16) add_copy<half>(level.spline, height, width, px, py, field[4 + copy], sum);
    else if (level.dtype == STYLECINE_BFLOAT16)
      add_copy<bfloat>(level.spline, height, width, px, py, field[4 + copy], sum);
    else add_copy<float>(level.spline, height, width, px, py, field[4 + copy], sum);
  }
}

// A pixel of a patch upsampled by two: zeros inserted, then [1,3,3,1].
__device__ Pixel upsampled(const Pixel *patch, const Range &at, int64_t y, int64_t x) {
  const int64_t wide = at.x1 - at.x0, row = (y >> 1) - at.y0, column = (x >> 1) - at.x0;
  const Pixel *near = patch + row * wide + column, *far = near + (y & 1 ? wide : -wide);
  const int beside = x & 1 ? 1 : -1;
  Pixel result;
  for (int c = 0; c < 4; ++c) {
    const float here = 0.75f * near[0].c[c] + 0.25f * far[0].c[c],
                there = 0.75f * near[beside].c[c] + 0.25f * far[beside].c[c];
    result.c[c] = 0.75f * here + 0.25f * there;
  }
  return result;
}

__global__ void tiles(const __grid_constant__ Frame frame) {
  __shared__ Pixel patches[2][PATCH * PATCH];
  const stylecine_render_args &args = frame.args;
  const int64_t across = (args.width + TILE - 1) / TILE;
  const int64_t top = blockIdx.x / across * TILE, left = blockIdx.x % across * TILE;
  const int64_t rows = min_of(TILE, args.height - top), columns = min_of(TILE, args.width - left);
  bool moves = false;
  for (int i = threadIdx.x; i < rows * columns; i += blockDim.x)
    moves |= args.moving[(top + i / columns) * args.width + left + i % columns] > 0;
  moves = __syncthreads_or(moves);

  Range range[kMaxLevels];
  ranges_of(args, top, left, rows, columns, range);
  Pixel *sum = patches[0], *before = patches[1];
  for (int i = args.levels - 1; i > 0 && moves; --i) {
    const Range &at = range[i];
    const int wide = int(at.x1 - at.x0), pixels = int(at.y1 - at.y0) * wide;
    for (int p = threadIdx.x; p < pixels; p += blockDim.x) {
      const int64_t y = at.y0 + p / wide, x = at.x0 + p % wide;
      Pixel result = {};
      if (y >= 0 && y < frame.level[i].h && x >= 0 && x < frame.level[i].w) {  // 0 outside the level
        if (i < args.levels - 1) result = upsampled(before, range[i + 1], y, x);
        add_level(frame, i, y, x, result);
      }
      sum[p] = result;
    }
    __syncthreads();
    Pixel *const done = sum;
    sum = before, before = done;
  }
  const int64_t plane = (args.height + 2 * int64_t(args.margin)) * (args.width + 2 * int64_t(args.margin));
  for (int p = threadIdx.x; p < rows * columns; p += blockDim.x) {
    const int64_t row = p / columns, column = p % columns, at = (top + row) * args.width + left + column;
    const float moving = args.moving[at];
    if (!moves || !(moving > 0)) {
      for (int c = 0; c < 3; ++c) args.out[at * 3 + c] = args.photo[at * 3 + c];
      continue;
    }
    const int64_t y = range[0].y0 + row, x = range[0].x0 + column;
    Pixel result = {};
    if (args.levels > 1) result = upsampled(before, range[1], y, x);
    add_level(frame, 0, y, x, result);
    const float noise = dither(top + row, left + column);
    for (int c = 0; c < 3; ++c) {
      if (args.base) result.c[c] += args.base[c * plane + y * (args.width + 2 * int64_t(args.margin)) + x];
      const float under = args.photo[at * 3 + c], over = clamp(result.c[c], -1, 1) * 127.5f + 127.5f;
      args.out[at * 3 + c] = uint8_t((over - under) * clamp(moving, 0, 1) + under + noise);
    }
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

size_t stylecine_render_workspace_cuda(const stylecine_render_args *args) {
  if (stylecine::check(args, nullptr) != STYLECINE_OK) return 0;
  return size_t(stylecine::cuda::plan(*args).floats) * sizeof(float);
}

int stylecine_render_cuda(const stylecine_render_args *args, void *workspace, size_t bytes, int device, void *stream,
                          char *message) {
  using namespace stylecine;
  if (const int status = check(args, message)) return status;
  for (int i = 0; i < args->levels; ++i) {
    const stylecine_level &level = args->level[i];
    if (!cuda::readable(level.spline, level.dtype))
      return fail(message, STYLECINE_INVALID, "a level's spline has to lie at a multiple of the size of four numbers");
  }
  if (!workspace || bytes < stylecine_render_workspace_cuda(args))
    return fail(message, STYLECINE_MEMORY, "the workspace is too small");
  cuda::Frame frame = {*args, {}, {}, {}, {}, cuda::plan(*args), static_cast<float *>(workspace)};
  for (int i = 0; i < args->levels; ++i) frame.level[i] = args->level[i];
  for (int i = 0; i < args->turns; ++i) {
    frame.length[i] = args->length[i], frame.phase[i] = args->phase[i];
    frame.shift[i] = args->stagger ? args->shift[i] : 0;
  }
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    cuda::fill<<<blocks(args->gh * args->gw), BLOCK, 0, queue>>>(frame);
    for (int i = 0; i < args->levels; ++i) {
      const cuda::Fields &fields = frame.plan.fields[i];
      if ((int64_t(1) << i) > args->cell)
        cuda::average<<<blocks(6 * fields.rows * fields.columns), BLOCK, 0, queue>>>(frame, i);
    }
    const int64_t across = (args->width + cuda::TILE - 1) / cuda::TILE,
                  down = (args->height + cuda::TILE - 1) / cuda::TILE;
    cuda::tiles<<<unsigned(across * down), BLOCK, 0, queue>>>(frame);
    return cudaGetLastError();
  });
}
