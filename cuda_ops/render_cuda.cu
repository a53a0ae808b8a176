// render on the GPU: first the fields, one thread per grid point; then one block per tile, whose levels are summed in
// shared memory. A launch makes several frames: the blocks of a tile's frames are neighbours, so that their inputs
// are read from the cache.
#include "device.h"
#include "render.h"
#include "sampling_cuda.h"

namespace stylecine {
namespace cuda {

cudaError_t recolour(const stylecine_recolour_args &args, cudaStream_t queue);  // in recolour_cuda.cu

namespace {

constexpr int TILE = 32;             // pixels
constexpr int PATCH = TILE / 2 + 2;  // pixels of a tile in the second level
constexpr int BATCH = 16;            // frames of a launch

// All parameters of a launch by value, as a kernel cannot read the host's memory.
struct Frames {
  stylecine_render_args args;
  stylecine_level level[kMaxLevels];
  float length[kMaxSubCycles];
  float phase[BATCH][kMaxSubCycles], shift[BATCH][kMaxSubCycles], swell_weights[BATCH][2 * kMaxClocks];
  Plan plan;
  float *workspace;
  int64_t first;  // of the frames
  int count;
};
static_assert(sizeof(Frames) <= 4096, "a launch has at most 4 KB of parameters");

// 40 registers. For a point of the grid 1 byte and, with five levels, at most 74 numbers are read, once for all frames
// of a launch if they stay in the cache; 14 are written for each frame, and 4 for each level of which a part stands.
__global__ void fill(const __grid_constant__ Frames frames) {
  const stylecine_render_args &args = frames.args;
  const int64_t points = args.gh * args.gw;
  const int n = blockIdx.x % frames.count;
  float *const __restrict__ workspace = frames.workspace + n * frames.plan.floats;
  const float *const __restrict__ positions = args.positions, *const __restrict__ rates = args.rates;
  const float *const __restrict__ angle = args.angle, *const __restrict__ contrast_gain = args.contrast_gain;
  STYLECINE_STRIDE_OF_FRAMES(i, points, frames.count) {
    const int sub_cycle = args.sub_cycle[i] < args.sub_cycles ? args.sub_cycle[i] : 0;
    const Phase now = args.stagger ? phase_of(frames.phase[n][sub_cycle], frames.shift[n][sub_cycle], args.stagger[i])
                                   : Phase{frames.phase[n][sub_cycle], false};
    const float phase = now.phase, standing = args.standing ? args.standing[i] : 0;
    float sources[4];
#pragma unroll
    for (int axis = 0; axis < 4; ++axis) {  // copy A is displaced backward (the second field), copy B forward
      const bool is_a = (axis < 2) != now.swapped;
      const int64_t at = ((is_a ? 2 : 0) + axis % 2) * points + i;
      const Moment then =
          moment(frames.length[sub_cycle] * (is_a ? phase : 1 - phase), args.stride, args.knots, float(args.cell));
      sources[axis] = displaced(then, positions + at, rates + at, 4 * points);
    }
#pragma unroll 1
    for (int k = 0; k < args.clocks; ++k) {
#pragma unroll
      for (int axis = 0; axis < 2; ++axis) {
        const float *swell = args.swell + (4 * k + axis) * points + i;
        const float offset = swell_offset(frames.swell_weights[n] + 2 * k, swell, 2 * points);
        sources[axis] += offset, sources[2 + axis] += offset;
      }
    }
#pragma unroll
    for (int axis = 0; axis < 4; ++axis) workspace[axis * points + i] = sources[axis];
    const float share = copy_b_share(phase, args.crossfade + i, points);
    for (int level = 0; level < args.levels; ++level) {
      float theta = 0, gain_a = 0, gain_b = 0;
      for (int knot = 0; knot < kPhases; ++knot) {
        const Hats hat = hats(knot, phase);
        const int64_t of_a = (kPhases * 2 * level + knot) * points + i, of_b = of_a + kPhases * points;
        theta += hat.angle * angle[(kPhases * level + knot) * points + i];
        gain_a += hat.gain_a * (contrast_gain[of_a] - 1);
        gain_b += hat.gain_b * (contrast_gain[of_b] - 1);
      }
      float a, b;
      mixing(theta, gain_a, gain_b, share, a, b);
      workspace[(4 + 2 * level) * points + i] = now.swapped ? b : a;
      workspace[(5 + 2 * level) * points + i] = now.swapped ? a : b;
      if (!stands(args, frames.level[level])) continue;
      const float runs = running(frames.level[level].standing, standing);
#pragma unroll
      for (int axis = 0; axis < 4; ++axis) workspace[frames.plan.fields[level].filled[axis] + i] = runs * sources[axis];
    }
  }
}

// Fields of the levels from `first` on, whose pixels hold several cells: the cells' means. 32 registers. For a pixel of
// a level six numbers of each of its cells are read, which fill has just written, and six are written.
__global__ void average(const __grid_constant__ Frames frames, int first) {
  const stylecine_render_args &args = frames.args;
  const int gh = int(args.gh), gw = int(args.gw);
  float *const workspace = frames.workspace + blockIdx.x % frames.count * frames.plan.floats;
  for (int level = first; level < args.levels; ++level) {
    const Fields &fields = frames.plan.fields[level];
    const int64_t pixels = fields.rows * fields.columns;
    const int wide = (1 << level) / args.cell;
    STYLECINE_STRIDE_OF_FRAMES(i, 6 * pixels, frames.count) {
      const Split item = split(i, pixels), place = split(item.rest, fields.columns);
      const int k = int(item.whole), top = int(place.whole) * wide, left = int(place.rest) * wide;
      const float *plane = workspace + fields.filled[k];
      const int bottom = int(min_of(top + wide, gh)), right = int(min_of(left + wide, gw));
      float sum = 0;
      for (int y = top; y < bottom; ++y)
        for (int x = left; x < right; ++x) sum += plane[y * gw + x];
      workspace[fields.plane[k] + item.rest] = sum / float((bottom - top) * (right - left));
    }
  }
}

// Adds a level at one of its pixels. `Usual`: bands are half, the low-pass is float.
template <bool Usual>
__device__ void add_level(const Frames &frames, const float *workspace, int i, int y, int x, Pixel &sum) {
  const stylecine_level &level = frames.level[i];
  const Fields &fields = frames.plan.fields[i];
  const Around around(fields, y, x);
  float field[6];
#pragma unroll
  for (int k = 0; k < 6; ++k) field[k] = around.read(workspace + fields.plane[k]);
  const int height = int(2 * level.h), width = int(2 * level.w);
  const float scale = 2 * inverse_power(i);  // the level's is 2^i
  const int dtype = !Usual ? level.dtype : i + 1 < frames.args.levels ? STYLECINE_FLOAT16 : STYLECINE_FLOAT32;
#pragma unroll
  for (int copy = 0; copy < 2; ++copy) {
    if (field[4 + copy] == 0) continue;  // outside of its crossfade a place shows one copy alone
    const float px = 2 * float(x) + field[2 * copy] * scale, py = 2 * float(y) + field[2 * copy + 1] * scale;
    if (dtype == STYLECINE_FLOAT16) add_copy<half>(level.spline, height, width, px, py, field[4 + copy], sum);
    else if (!Usual && dtype == STYLECINE_BFLOAT16)
      add_copy<bfloat>(level.spline, height, width, px, py, field[4 + copy], sum);
    else add_copy<float>(level.spline, height, width, px, py, field[4 + copy], sum);
  }
}

// Adds the light at a pixel of the coarsest level.
__device__ void add_light(const stylecine_render_args &args, int width, int y, int x, Pixel &sum) {
  if (!args.light) return;
  const float *light = args.light + (y * width + x) * 4;
  for (int c = 0; c < 3; ++c) sum.c[c] += light[c];
}

// A pixel of a patch upsampled by two: zeros inserted, then [1,3,3,1].
__device__ Pixel upsampled(const Pixel *patch, const Range &at, int y, int x) {
  const int wide = at.x1 - at.x0, row = (y >> 1) - at.y0, column = (x >> 1) - at.x0;
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

// 80 registers, 10 kB of shared memory: three blocks fit a multiprocessor. A pixel takes 10 bytes
// (photo, mask, the frame written) and the coefficients of all levels, 43 bytes, which its neighbours and the other
// frames of the launch read as well; its fields come from the cache.
template <bool Usual>
__global__ void __launch_bounds__(BLOCK, 3) tiles(const __grid_constant__ Frames frames) {
  __shared__ Pixel patches[2][PATCH * PATCH];
  const stylecine_render_args &args = frames.args;
  const int n = blockIdx.x % frames.count, tile = blockIdx.x / frames.count;
  const float *const __restrict__ workspace = frames.workspace + n * frames.plan.floats;
  const uint8_t *const __restrict__ photo = args.photo;
  uint8_t *const __restrict__ out = args.out + (frames.first + n) * 3 * args.height * args.width;
  const int across = (int(args.width) + TILE - 1) / TILE;
  const int top = tile / across * TILE, left = tile % across * TILE;
  const int rows = int(min_of(TILE, args.height - top)), columns = int(min_of(TILE, args.width - left));
  bool moves = false;
  for (int p = threadIdx.x; p < TILE * TILE; p += BLOCK) {
    const int row = p / TILE, column = p % TILE;
    moves |= row < rows && column < columns && args.moving[(top + row) * args.width + left + column] > 0;
  }
  moves = __syncthreads_or(moves);

  const int y0 = top + args.margin, x0 = left + args.margin;
  const Range canvas = {y0, y0 + rows, x0, x0 + columns};
  Pixel *sum = patches[0], *before = patches[1];
  for (int i = args.levels - 1; i > 0 && moves; --i) {
    const Range at = range_of(canvas, i), coarser = range_of(canvas, i + 1);
    const int wide = at.x1 - at.x0, pixels = (at.y1 - at.y0) * wide;
    const int height = int(frames.level[i].h), width = int(frames.level[i].w);
    for (int p = threadIdx.x; p < pixels; p += blockDim.x) {
      const int y = at.y0 + p / wide, x = at.x0 + p % wide;
      Pixel result = {};
      if (y >= 0 && y < height && x >= 0 && x < width) {  // 0 outside the level
        if (i < args.levels - 1) result = upsampled(before, coarser, y, x);
        else add_light(args, width, y, x, result);
        add_level<Usual>(frames, workspace, i, y, x, result);
      }
      sum[p] = result;
    }
    __syncthreads();
    Pixel *const done = sum;
    sum = before, before = done;
  }
  const Range second = range_of(canvas, 1);
  const int64_t plane = (args.height + 2 * int64_t(args.margin)) * (args.width + 2 * int64_t(args.margin));
  for (int p = threadIdx.x; p < TILE * TILE; p += BLOCK) {
    const int row = p / TILE, column = p % TILE;
    if (row >= rows || column >= columns) continue;
    const int64_t at = (top + row) * args.width + left + column;
    const float moving = args.moving[at];
    if (!moves || !(moving > 0)) {
      for (int c = 0; c < 3; ++c) out[at * 3 + c] = photo[at * 3 + c];
      continue;
    }
    const int y = y0 + row, x = x0 + column;
    Pixel result = {};
    if (args.levels > 1) result = upsampled(before, second, y, x);
    else add_light(args, int(frames.level[0].w), y, x, result);
    add_level<Usual>(frames, workspace, 0, y, x, result);
    const float noise = dither(top + row, left + column);
    for (int c = 0; c < 3; ++c) {
      if (args.generated)
        result.c[c] +=
            args.generated[(3 * (frames.first + n) + c) * plane + y * (args.width + 2 * int64_t(args.margin)) + x];
      const float under = photo[at * 3 + c], over = clamp(result.c[c], -1, 1) * 127.5f + 127.5f;
      out[at * 3 + c] = uint8_t((over - under) * clamp(moving, 0, 1) + under + noise);
    }
  }
}

Frames frames_of(const stylecine_render_args &args, int64_t first, float *workspace) {
  const int count = int(min_of(BATCH, args.frames - first));
  Frames frames = {args, {}, {}, {}, {}, {}, plan(args, args.level), workspace, first, count};
  for (int i = 0; i < args.levels; ++i) frames.level[i] = args.level[i];
  for (int i = 0; i < args.sub_cycles; ++i) frames.length[i] = args.length[i];
  for (int n = 0; n < count; ++n) {
    for (int i = 0; i < args.sub_cycles; ++i) {
      frames.phase[n][i] = args.phase[(first + n) * args.sub_cycles + i];
      if (args.stagger) frames.shift[n][i] = args.shift[(first + n) * args.sub_cycles + i];
    }
    const int parts = 2 * args.clocks;
    for (int i = 0; i < parts; ++i) frames.swell_weights[n][i] = args.swell_weights[(first + n) * parts + i];
  }
  return frames;
}

cudaError_t launch(const Frames &frames, cudaStream_t queue) {
  const stylecine_render_args &args = frames.args;
  fill<<<blocks(args.gh * args.gw) * frames.count, BLOCK, 0, queue>>>(frames);
  const int first = log2_of(args.cell) + 1;  // level whose pixels are larger than a cell
  if (first < args.levels) {
    const Fields &fields = frames.plan.fields[first];
    average<<<blocks(6 * fields.rows * fields.columns) * frames.count, BLOCK, 0, queue>>>(frames, first);
  }
  const int64_t across = (args.width + TILE - 1) / TILE, down = (args.height + TILE - 1) / TILE;
  bool usual = args.level[args.levels - 1].dtype == STYLECINE_FLOAT32;
  for (int i = 0; i + 1 < args.levels; ++i) usual &= args.level[i].dtype == STYLECINE_FLOAT16;
  const unsigned all = unsigned(across * down * frames.count);
  if (usual) tiles<true><<<all, BLOCK, 0, queue>>>(frames);
  else tiles<false><<<all, BLOCK, 0, queue>>>(frames);
  return cudaGetLastError();
}

size_t workspace_of(const stylecine_render_args &args) {
  return size_t(min_of(args.frames, BATCH) * plan(args, args.level).floats) * sizeof(float);
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine

size_t stylecine_render_workspace_cuda(const stylecine_render_args *args) {
  using namespace stylecine;
  return check(args, nullptr) == STYLECINE_OK ? cuda::workspace_of(*args) : 0;
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
  if (args->recolouring && !readable(*args->recolouring)) return fail(message, STYLECINE_INVALID, UNREADABLE_GRID);
  if (!workspace || bytes < cuda::workspace_of(*args))
    return fail(message, STYLECINE_MEMORY, "the workspace is too small");
  return run_on(device, stream, message, [&](cudaStream_t queue) {
    cudaError_t status = cudaSuccess;
    for (int64_t first = 0; first < args->frames && status == cudaSuccess; first += cuda::BATCH)
      status = cuda::launch(cuda::frames_of(*args, first, static_cast<float *>(workspace)), queue);
    return args->recolouring && status == cudaSuccess ? cuda::recolour(*args->recolouring, queue) : status;
  });
}
