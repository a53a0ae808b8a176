// render on the CPU: tiles that fit into the cache, pixels of four channels in the lanes of a vector. A few frames are
// rendered together, while their inputs are in the cache.
#include <cmath>

#include "cpu.h"
#include "render.h"
#include "sampling_cpu.h"

namespace stylecine {
namespace STYLECINE_SET {

namespace {

constexpr int64_t kBatch = 4;                                     // frames
constexpr int64_t kRows = 64;                                     // of a tile, which is kColumns wide
constexpr int64_t kSquare = 64;                                   // pixels, in which something moves or nothing does
constexpr int64_t kBlock = 64;                                    // grid points whose fields are computed together
constexpr int64_t kRun = 512;                                     // grid points that are averaged together
constexpr int64_t kPatch = (kRows / 2 + 2) * (kColumns / 2 + 2);  // pixels of a tile in the second level

// Temporaries of one tile.
struct Scratch {
  float field[6][kLine];  // of one row
  float line[kLine];
  float coarse[kColumns * 4], row[kColumns * 4];
  float patch[2][kPatch * 4];  // sum of the levels so far, [rows,columns,4], and of the coarser ones
};

// Prefetches the coefficients that the next row of pixels needs in addition.
template <class T>
STYLECINE_INLINE void prefetch(const T *spline, int64_t stride, const Places &at) {
  const uintptr_t first = reinterpret_cast<uintptr_t>(spline);  // prefetching past the end does nothing
  for (int row = 4; row < 6; ++row) {
    const uintptr_t next = first + ((at.row[0] + row) * stride + at.column[0] * int64_t(4)) * sizeof(T);
    for (size_t byte = 0; byte < 2 * kLanes * 4 * sizeof(T); byte += 64)
      __builtin_prefetch(reinterpret_cast<const void *>(next + byte));
  }
}

// Adds copies(i), four columns of taps, at each of `count` pixels.
template <class Copies>
STYLECINE_INLINE void add_each(int count, float *out, Copies &&copies) {
  int i = 0;
  for (; i + 4 <= count; i += 4) {
    const Vector four[4] = {copies(i), copies(i + 1), copies(i + 2), copies(i + 3)};
    add_folds(out + i * 4, four);
  }
  for (; i < count; ++i) add_fold(out + i * 4, copies(i));
}

// Adds one copy of a level at the pixels of `at`.
template <class T>
STYLECINE_INLINE void add_copy(const T *spline, int width, int height, const Places &at, int count, float *out) {
  if (at.inside)
    add_each(count, out, [&](int i) { return columns(spline, width * int64_t(4), at, i) * across(at, i); });
  else
    for (int i = 0; i < count; ++i)
      add_fold(out + i * 4, columns_at_border(spline, width, height, at, i) * across(at, i));
}

// The next kLanes pixels of six fields: where there are fewer, the last one is repeated, or leftovers of another row
// would decide which branch is taken.
STYLECINE_INLINE void take(const float *const *field, int64_t j, int count, float (*held)[kLanes], const float **at) {
  for (int k = 0; k < 6; ++k) {
    at[k] = field[k] + j;
    if (count == kLanes) continue;
    for (int i = 0; i < kLanes; ++i) held[k][i] = at[k][i < count ? i : count - 1];
    at[k] = held[k];
  }
}

// Adds both copies of a level at n pixels of row y from column x on, whose fields are in `field`. A copy is not read
// where it shows at none of kLanes pixels: outside of its crossfade a place shows one alone.
template <class T>
void add_copies(const stylecine_level &level, const float *const *field, int64_t y, int64_t x, int64_t n, float *out) {
  const T *spline = static_cast<const T *>(level.spline);
  const int width = int(2 * level.w), height = int(2 * level.h);
  const float scale = 2.0f / float(level.scale);
  float held[6][kLanes];
  const float *at[6];
  const auto find = [&](int copy, int64_t j) {
    const Places found =
        places(at[2 * copy], at[2 * copy + 1], at[4 + copy], float(x + j), float(y), scale, width, height);
    if (found.inside) prefetch(spline, width * int64_t(4), found);
    return found;
  };
  for (int64_t j = 0; j < n; j += kLanes) {
    const int count = int(min_of(kLanes, n - j));
    take(field, j, count, held, at);
    const bool shows_a = any(at[4]), shows_b = any(at[5]);
    if (!shows_a || !shows_b) {
      if (shows_a || shows_b) add_copy(spline, width, height, find(shows_b, j), count, out + j * 4);
      continue;
    }
    const Places a = find(0, j), b = find(1, j);
    if (!a.inside || !b.inside) {
      add_copy(spline, width, height, a, count, out + j * 4);
      add_copy(spline, width, height, b, count, out + j * 4);
      continue;
    }
    add_each(count, out + j * 4, [&](int i) {
      const Vector first = columns(spline, width * int64_t(4), a, i) * across(a, i);
      return fma(columns(spline, width * int64_t(4), b, i), across(b, i), first);
    });
  }
}

// Adds a level at n pixels of row y from column x on, all of them inside the level.
void add_level(const stylecine_level &level, const Fields &fields, const float *workspace, int64_t y, int64_t x,
               int64_t n, float *out, Scratch &scratch) {
  const float *field[6], *planes[6];
  for (int k = 0; k < 6; ++k) planes[k] = workspace + fields.plane[k];
  read_fields(fields, planes, y, x, n, scratch.field, scratch.line, field);
  if (level.dtype == STYLECINE_FLOAT16) add_copies<half>(level, field, y, x, n, out);
  else if (level.dtype == STYLECINE_BFLOAT16) add_copies<bfloat>(level, field, y, x, n, out);
  else add_copies<float>(level, field, y, x, n, out);
}

// Adds the light at n pixels of row y from column x on of the coarsest level.
void add_light(const stylecine_render_args &args, int64_t y, int64_t x, int64_t n, float *out) {
  const float *light = args.light + (y * args.level[args.levels - 1].w + x) * 4;
  for (int64_t i = 0; i < n * 4; ++i) out[i] += light[i];
}

// n pixels of row y from column x on of a patch upsampled by two: zeros inserted, then [1,3,3,1].
void upsample(const float *patch, const Range &at, int64_t y, int64_t x, int64_t n, float *line, float *out) {
  const int64_t near = y >> 1, far = y & 1 ? near + 1 : near - 1, columns = at.x1 - at.x0;
  const float *first = patch + (near - at.y0) * columns * 4, *second = patch + (far - at.y0) * columns * 4;
  STYLECINE_INDEPENDENT
  for (int64_t i = 0; i < columns * 4; ++i) line[i] = 0.75f * first[i] + 0.25f * second[i];
  const auto between = [line](int64_t here, int64_t beside, float *pixel) {
    for (int c = 0; c < 4; ++c) pixel[c] = 0.75f * line[here * 4 + c] + 0.25f * line[beside * 4 + c];
  };
  int64_t i = 0, here = (x >> 1) - at.x0;
  if (x & 1) between(here, here + 1, out), ++i, ++here;
  for (; i + 2 <= n; i += 2, ++here) {
    between(here, here - 1, out + i * 4);
    between(here, here + 1, out + i * 4 + 4);
  }
  if (i < n) between(here, here - 1, out + i * 4);
}

// n pixels of a row of the frame: the photo blended with the sum of the levels. All arrays begin at the first pixel.
void compose(const uint8_t *photo, const float *moving, const float *sum, int64_t y, int64_t x, int64_t n,
             uint8_t *out) {
  float noise[kColumns + 4] = {};
  for (int64_t i = 0; i < n; ++i) noise[i] = dither(y, x + i);
  const auto four = [&](const uint8_t *static_rgb, const float *moves, int64_t i, uint8_t *bytes) {
    const Vector under = load_rgb(static_rgb);
    const Vector over = fma(clamp(load(sum + i * 4), -1, 1), all(127.5f), all(127.5f));
    save_rgb(bytes, fma(over - under, clamp(spread(moves), 0, 1), under) + spread(noise + i));
  };
  int64_t i = 0;
  for (; i + 4 < n; i += 4) four(photo + i * 3, moving + i, i, out + i * 3);
  uint8_t last[16] = {}, bytes[16];  // copies, as nothing may be read past the end of the arrays
  float moves[4] = {};
  memcpy(last, photo + i * 3, (n - i) * 3);
  memcpy(moves, moving + i, (n - i) * sizeof(float));
  four(last, moves, i, bytes);
  memcpy(out + i * 3, bytes, (n - i) * 3);
}

// A frame of a call: its numbers in the arrays of stylecine_render_args.
struct Frame {
  const float *phase, *shift, *swell_weights;
  const float *generated;
  uint8_t *out;
  float *fields;  // its workspace
};

Frame frame_of(const stylecine_render_args &args, int64_t i, float *fields) {
  const int64_t height = args.height + 2 * int64_t(args.margin), width = args.width + 2 * int64_t(args.margin);
  return {args.phase + i * args.sub_cycles,
          args.stagger ? args.shift + i * args.sub_cycles : nullptr,
          args.clocks ? args.swell_weights + i * 2 * args.clocks : nullptr,
          args.generated ? args.generated + i * 3 * height * width : nullptr,
          args.out + i * 3 * args.height * args.width,
          fields};
}

// A tile of the photo, and what moves in it.
struct Tile {
  int64_t top, left, rows, columns;
  int64_t first[kRows], last[kRows];  // of each row, one past the last; 0, 0 if nothing moves
  int64_t begin, end;                 // rows in which something moves
  Range range[kMaxLevels];            // what is needed of each level, if anything moves
};

// The range of the n pixels that moves: first and one past the last; 0, 0 if nothing does.
void span(const float *moving, int64_t n, int64_t &first, int64_t &last) {
  int any = 0;
  for (int64_t i = 0; i < n; ++i) any |= moving[i] > 0;
  first = last = 0;
  if (!any) return;
  while (!(moving[first] > 0)) ++first;
  for (last = n; !(moving[last - 1] > 0);) --last;
}

Tile tile_at(const stylecine_render_args &args, int64_t top, int64_t left) {
  Tile tile;
  tile.top = top, tile.left = left;
  tile.rows = min_of(kRows, args.height - top), tile.columns = min_of(kColumns, args.width - left);
  tile.begin = tile.end = 0;
  int64_t first = tile.columns, last = 0;
  for (int64_t y = 0; y < tile.rows; ++y) {
    span(args.moving + (top + y) * args.width + left, tile.columns, tile.first[y], tile.last[y]);
    if (tile.last[y] == 0) continue;
    if (tile.end == 0) tile.begin = y;
    tile.end = y + 1, first = min_of(first, tile.first[y]), last = max_of(last, tile.last[y]);
  }
  const int64_t y = top + args.margin, x = left + args.margin;
  const Range moving = {int(y + tile.begin), int(y + tile.end), int(x + first), int(x + last)};
  for (int i = 0; i < args.levels; ++i) tile.range[i] = range_of(moving, i);
  return tile;
}

// The sum of all levels but the finest over the tile's range of the second.
float *sum_coarse(const stylecine_render_args &args, const Plan &plan, const Frame &frame, const Tile &tile,
                  Scratch &scratch) {
  float *sum = scratch.patch[0], *before = scratch.patch[1];
  for (int i = args.levels - 1; i > 0; --i) {
    const Range &at = tile.range[i];
    const stylecine_level &level = args.level[i];
    const int64_t wide = at.x1 - at.x0, x0 = max_of(at.x0, 0), x1 = min_of(at.x1, level.w);
    for (int64_t y = at.y0; y < at.y1; ++y) {  // 0 outside the level
      float *out = sum + (y - at.y0) * wide * 4;
      const bool inside = y >= 0 && y < level.h && x0 < x1;
      if (!inside || i == args.levels - 1 || x0 > at.x0 || x1 < at.x1) memset(out, 0, wide * 4 * sizeof(float));
      if (!inside) continue;
      float *begin = out + (x0 - at.x0) * 4;
      if (i < args.levels - 1) upsample(before, tile.range[i + 1], y, x0, x1 - x0, scratch.coarse, begin);
      add_level(level, plan.fields[i], frame.fields, y, x0, x1 - x0, begin, scratch);
      if (args.light && i == args.levels - 1) add_light(args, y, x0, x1 - x0, begin);
    }
    float *done = sum;
    sum = before, before = done;
  }
  return before;
}

// Prefetches the fields that a tile reads: short rows of many planes, which the processor would not foresee.
void prefetch_fields(const stylecine_render_args &args, const Plan &plan, const Frame &frame, const Tile &tile) {
  if (tile.end == 0) return;
  for (int i = 0; i < args.levels; ++i) {
    const Fields &fields = plan.fields[i];
    const bool shared = i > 0 && fields.plane[0] == plan.fields[0].plane[0];  // sources that the finest level has
    const Range &at = tile.range[i];
    const int64_t y0 = max_of(0, at.y0 / fields.ratio - 1), y1 = min_of(fields.rows, at.y1 / fields.ratio + 2);
    const int64_t x0 = max_of(0, at.x0 / fields.ratio - 1), x1 = min_of(fields.columns, at.x1 / fields.ratio + 2);
    for (int k = shared ? 4 : 0; k < 6; ++k)
      for (int64_t y = y0; y < y1; ++y) {
        const float *row = frame.fields + fields.plane[k] + y * fields.columns;
        for (int64_t x = x0; x < x1 + 16; x += 16) __builtin_prefetch(row + x, 0, 2);
      }
  }
}

void render_tile(const stylecine_render_args &args, const Plan &plan, const Frame &frame, const Tile &tile,
                 Scratch &scratch) {
  const int64_t height = args.height + 2 * int64_t(args.margin), width = args.width + 2 * int64_t(args.margin);
  const float *coarse = tile.end > 0 ? sum_coarse(args, plan, frame, tile, scratch) : nullptr;
  for (int64_t y = 0; y < tile.rows; ++y) {
    const int64_t row = (tile.top + y) * args.width + tile.left, first = tile.first[y], last = tile.last[y];
    memcpy(frame.out + row * 3, args.photo + row * 3, first * 3);
    memcpy(frame.out + (row + last) * 3, args.photo + (row + last) * 3, (tile.columns - last) * 3);
    const int64_t n = last - first;
    if (n == 0) continue;
    const int64_t in_canvas_y = tile.top + y + args.margin, in_canvas_x = tile.left + first + args.margin;
    if (args.levels > 1) upsample(coarse, tile.range[1], in_canvas_y, in_canvas_x, n, scratch.coarse, scratch.row);
    else memset(scratch.row, 0, n * 4 * sizeof(float));
    add_level(args.level[0], plan.fields[0], frame.fields, in_canvas_y, in_canvas_x, n, scratch.row, scratch);
    if (args.light && args.levels == 1) add_light(args, in_canvas_y, in_canvas_x, n, scratch.row);
    if (frame.generated) {
      const float *generated = frame.generated + in_canvas_y * width + in_canvas_x;
      for (int c = 0; c < 3; ++c)
        for (int64_t i = 0; i < n; ++i) scratch.row[i * 4 + c] += generated[c * height * width + i];
    }
    const int64_t at = row + first;
    compose(args.photo + at * 3, args.moving + at, scratch.row, tile.top + y, tile.left + first, n, frame.out + at * 3);
  }
}

// The sub-cycles of up to kBlock places in a row of the grid.
struct Cycles {
  alignas(64) float phase[kBlock], length[kBlock], share[kBlock];
  alignas(64) float angle[kPhases][kBlock], gain_a[kPhases][kBlock], gain_b[kPhases][kBlock];  // hats of known phases
  alignas(64) int32_t swapped[kBlock];
  int known[kPhases], count;  // the phases of which any hat is not 0
};

void find_cycles(const stylecine_render_args &args, const Frame &frame, int64_t at, int64_t n, Cycles &cycles) {
  alignas(64) float shift[kBlock];
  const uint8_t *sub_cycle = args.sub_cycle + at;
  for (int64_t x = 0; x < n; ++x) {
    const int k = args.sub_cycles > 1 && sub_cycle[x] < args.sub_cycles ? sub_cycle[x] : 0;
    cycles.phase[x] = frame.phase[k], cycles.length[x] = args.length[k];
    shift[x] = frame.shift ? frame.shift[k] : 0;
    cycles.swapped[x] = 0;
  }
  if (args.stagger) {
    const float *stagger = args.stagger + at;
    STYLECINE_INDEPENDENT
    for (int64_t x = 0; x < n; ++x) {
      const Phase now = phase_of(cycles.phase[x], shift[x], stagger[x]);
      cycles.phase[x] = now.phase, cycles.swapped[x] = now.swapped;
    }
  }
  const float *crossfade = args.crossfade + at;
  const int64_t step = args.gh * args.gw;
  STYLECINE_INDEPENDENT
  for (int64_t x = 0; x < n; ++x) cycles.share[x] = copy_b_share(cycles.phase[x], crossfade + x, step);
  cycles.count = 0;
  for (int knot = 0; knot < kPhases; ++knot) {
    int counts = 0;
    STYLECINE_INDEPENDENT
    for (int64_t x = 0; x < n; ++x) {
      const Hats hat = hats(knot, cycles.phase[x]);
      cycles.angle[knot][x] = hat.angle, cycles.gain_a[knot][x] = hat.gain_a, cycles.gain_b[knot][x] = hat.gain_b;
      counts |= hat.angle > 0;  // the other two are 0 where this is
    }
    if (counts) cycles.known[cycles.count++] = knot;
  }
}

// Where the age of a copy lies between the knots, and their weights.
struct Ages {
  alignas(64) int32_t knot[kBlock];
  alignas(64) float start[kBlock], end[kBlock], start_rate[kBlock], end_rate[kBlock];
  int32_t first, last;  // knots
};

void find_ages(const stylecine_render_args &args, const Cycles &cycles, bool copy_b, int64_t n, Ages &ages) {
  const float stride = args.stride, cell = float(args.cell);
  const int knots = args.knots;
  STYLECINE_INDEPENDENT
  for (int64_t x = 0; x < n; ++x) {
    const float age = cycles.length[x] * (copy_b ? 1 - cycles.phase[x] : cycles.phase[x]);
    const Moment now = moment(age, stride, knots, cell);
    ages.knot[x] = now.knot;
    ages.start[x] = now.start, ages.end[x] = now.end;
    ages.start_rate[x] = now.start_rate, ages.end_rate[x] = now.end_rate;
  }
  ages.first = ages.last = ages.knot[0];
  for (int64_t x = 1; x < n; ++x) {
    ages.first = ages.knot[x] < ages.first ? ages.knot[x] : ages.first;
    ages.last = ages.knot[x] > ages.last ? ages.knot[x] : ages.last;
  }
}

// One axis of a copy's displacement at n places; neighbours have about the same age, so there are few knots.
void displace(const Ages &ages, const float *positions, const float *rates, int64_t step, int64_t n, float *out) {
  for (int32_t knot = ages.first; knot <= ages.last; ++knot) {
    const float *first = positions + knot * step, *second = first + step;
    const float *first_rate = rates + knot * step, *second_rate = first_rate + step;
    STYLECINE_INDEPENDENT
    for (int64_t x = 0; x < n; ++x) {
      const float value = (ages.start[x] * first[x] + ages.end[x] * second[x]) +
                          (ages.start_rate[x] * first_rate[x] + ages.end_rate[x] * second_rate[x]);
      out[x] = ages.knot[x] == knot ? value : out[x];
    }
  }
}

// Both copies' weights in a level at n places from `at` on, whose angles and gains are known at `Known` phases.
template <int Known>
void mix(const stylecine_render_args &args, const Cycles &cycles, int level, float *planes, int64_t at, int64_t n) {
  const int64_t points = args.gh * args.gw;
  const float *angle[3], *contrast_gain_a[3], *contrast_gain_b[3], *hat[3], *hat_a[3], *hat_b[3];
  for (int i = 0; i < Known; ++i) {
    const int knot = cycles.known[i];
    angle[i] = args.angle + (kPhases * level + knot) * points + at;
    contrast_gain_a[i] = args.contrast_gain + (kPhases * 2 * level + knot) * points + at;
    contrast_gain_b[i] = contrast_gain_a[i] + kPhases * points;
    hat[i] = cycles.angle[knot], hat_a[i] = cycles.gain_a[knot], hat_b[i] = cycles.gain_b[knot];
  }
  float *a = planes + (4 + 2 * level) * points + at, *b = a + points;
  STYLECINE_INDEPENDENT
  for (int64_t x = 0; x < n; ++x) {
    float theta = 0, gain_a = 0, gain_b = 0;
    for (int i = 0; i < Known; ++i) {
      theta += hat[i][x] * angle[i][x];
      gain_a += hat_a[i][x] * (contrast_gain_a[i][x] - 1);
      gain_b += hat_b[i][x] * (contrast_gain_b[i][x] - 1);
    }
    float weight_a, weight_b;
    mixing(theta, gain_a, gain_b, cycles.share[x], weight_a, weight_b);
    a[x] = cycles.swapped[x] ? weight_b : weight_a;
    b[x] = cycles.swapped[x] ? weight_a : weight_b;
  }
}

// Sources of a level of which a part stands.
void stand(const stylecine_render_args &args, const Fields &fields, float share, float *planes, int64_t at, int64_t n) {
  const float *standing = args.standing + at;
  for (int k = 0; k < 4; ++k) {
    const float *shared = planes + k * args.gh * args.gw + at;
    float *own = planes + fields.filled[k] + at;
    STYLECINE_INDEPENDENT
    for (int64_t x = 0; x < n; ++x) own[x] = shared[x] * running(share, standing[x]);
  }
}

// Planes of sources and of weights, of n places from `at` on.
void fill_block(const stylecine_render_args &args, const Plan &plan, const Frame &frame, int64_t at, int64_t n) {
  const int64_t points = args.gh * args.gw;
  Cycles cycles;
  Ages ages[2];
  find_cycles(args, frame, at, n, cycles);
  for (int copy = 0; copy < 2; ++copy) find_ages(args, cycles, copy == 1, n, ages[copy]);
  for (int axis = 0; axis < 2; ++axis) {
    alignas(64) float source[2][kBlock] = {};
    for (int copy = 0; copy < 2; ++copy) {  // copy A is displaced backward (the second field), copy B forward
      const int64_t field = ((copy == 0 ? 2 : 0) + axis) * points + at;
      displace(ages[copy], args.positions + field, args.rates + field, 4 * points, n, source[copy]);
    }
    float *a = frame.fields + axis * points + at, *b = a + 2 * points;
    STYLECINE_INDEPENDENT
    for (int64_t x = 0; x < n; ++x) {
      a[x] = cycles.swapped[x] ? source[1][x] : source[0][x];
      b[x] = cycles.swapped[x] ? source[0][x] : source[1][x];
    }
    for (int k = 0; k < args.clocks; ++k) {
      const float *swell = args.swell + (4 * k + axis) * points + at;
      const float weights[2] = {frame.swell_weights[2 * k], frame.swell_weights[2 * k + 1]};
      STYLECINE_INDEPENDENT
      for (int64_t x = 0; x < n; ++x) {
        const float offset = swell_offset(weights, swell + x, 2 * points);
        a[x] += offset, b[x] += offset;
      }
    }
  }
  for (int level = 0; level < args.levels; ++level) {
    if (cycles.count == 1) mix<1>(args, cycles, level, frame.fields, at, n);
    else if (cycles.count == 2) mix<2>(args, cycles, level, frame.fields, at, n);
    else mix<3>(args, cycles, level, frame.fields, at, n);
    if (stands(args, args.level[level]))
      stand(args, plan.fields[level], args.level[level].standing, frame.fields, at, n);
  }
}

// A part of the grid.
struct Part {
  int64_t y0, y1, x0, x1;
};

// Sums of n numbers of a row, `wide` at a time, or as many as there are at its end.
template <int Wide>
void sum_each(const float *row, int64_t n, int64_t wide, float *sums) {
  if (Wide) wide = Wide;  // known to the compiler
  int64_t i = 0;
  for (; (i + 1) * wide <= n; ++i) {
    float sum = 0;
    for (int64_t k = 0; k < wide; ++k) sum += row[i * wide + k];
    sums[i] = sum;
  }
  if (i * wide == n) return;
  sums[i] = 0;
  for (int64_t k = i * wide; k < n; ++k) sums[i] += row[k];
}

// Six planes of a level whose pixels hold wide*wide cells each: the cells' means.
void average(const stylecine_render_args &args, int level, const Fields &fields, float *workspace, const Part &part) {
  const int64_t wide = (int64_t(1) << level) / args.cell;
  const auto sum = wide == 2 ? sum_each<2> : wide == 4 ? sum_each<4> : sum_each<0>;
  const int64_t most = kRun / wide * wide;
  for (int k = 0; k < 6; ++k)
    for (int64_t i = part.y0 / wide; i * wide < part.y1; ++i)
      for (int64_t x = part.x0; x < part.x1; x += most) {
        const int64_t n = min_of(most, part.x1 - x), rows = min_of(wide, args.gh - i * wide);
        const float *first = workspace + fields.filled[k] + i * wide * args.gw + x;
        float down[kRun];
        memcpy(down, first, n * sizeof(float));
        for (int64_t y = 1; y < rows; ++y)
          for (int64_t j = 0; j < n; ++j) down[j] += first[y * args.gw + j];
        float *out = workspace + fields.plane[k] + i * fields.columns + x / wide;
        sum(down, n, wide, out);
        for (int64_t j = 0; j * wide < n; ++j) out[j] /= float(rows * min_of(wide, n - j * wide));
      }
}

// Where something moves: one byte for every kSquare*kSquare pixels.
struct Map {
  const uint8_t *moves;
  int64_t rows, columns;
};

void map_row(const stylecine_render_args &args, int64_t row, int64_t columns, uint8_t *moves) {
  memset(moves, 0, columns);
  for (int64_t y = row * kSquare; y < min_of((row + 1) * kSquare, args.height); ++y)
    for (int64_t i = 0; i < columns; ++i) {
      if (moves[i]) continue;
      const float *pixel = args.moving + y * args.width + i * kSquare;
      const int64_t n = min_of(kSquare, args.width - i * kSquare);
      int any = 0;
      for (int64_t x = 0; x < n; ++x) any |= pixel[x] > 0;
      moves[i] = uint8_t(any);
    }
}

// The part of rows y0 to y1 of the grid close enough to something that moves for its fields to be needed: whole pixels
// of every level.
Part needed(const stylecine_render_args &args, const Map &map, int64_t y0, int64_t y1) {
  const int64_t coarsest = int64_t(1) << (args.levels - 1);
  const int64_t reach = 4 * max_of(args.cell, coarsest);  // more than the support of levels and fields
  const int64_t top = y0 * args.cell - args.margin - reach, bottom = y1 * args.cell - args.margin + reach;
  int64_t first = map.columns, last = -1;
  for (int64_t y = max_of(0, top) / kSquare; y < map.rows && y * kSquare < bottom; ++y)
    for (int64_t x = 0; x < map.columns; ++x)
      if (map.moves[y * map.columns + x]) first = min_of(first, x), last = max_of(last, x);
  if (last < 0) return {y0, y0, 0, 0};
  const int64_t unit = max_of(1, coarsest / args.cell);
  const int64_t left = max_of(0, first * kSquare + args.margin - reach) / args.cell / unit * unit;
  const int64_t right = ((last + 1) * kSquare + args.margin + reach + args.cell - 1) / args.cell;
  return {y0, y1, left, min_of(args.gw, (right + unit - 1) / unit * unit)};
}

void fill(const stylecine_render_args &args, const Plan &plan, const Part &part, const Frame *frames, int64_t count) {
  for (int64_t y = part.y0; y < part.y1; ++y)
    for (int64_t x = part.x0; x < part.x1; x += kBlock)
      for (int64_t i = 0; i < count; ++i)
        fill_block(args, plan, frames[i], y * args.gw + x, min_of(kBlock, part.x1 - x));
  for (int64_t i = 0; i < count; ++i)
    for (int level = 0; level < args.levels; ++level)
      if ((int64_t(1) << level) > args.cell) average(args, level, plan.fields[level], frames[i].fields, part);
}

int64_t map_bytes(const stylecine_render_args &args) {
  const int64_t squares = ((args.height + kSquare - 1) / kSquare) * ((args.width + kSquare - 1) / kSquare);
  return (squares + 63) / 64 * 64;
}

}  // namespace

void render(const stylecine_render_args &args, void *bytes, stylecine_cpu *cpu) {
  uint8_t *const moves = static_cast<uint8_t *>(bytes);
  float *const workspace = reinterpret_cast<float *>(moves + map_bytes(args));
  const Plan layout = plan(args, args.level);
  const Map map = {moves, (args.height + kSquare - 1) / kSquare, (args.width + kSquare - 1) / kSquare};
  parallel(cpu, map.rows, [&](int64_t i) { map_row(args, i, map.columns, moves + i * map.columns); });
  const int64_t strip = max_of(16, (int64_t(1) << (args.levels - 1)) / args.cell);  // whole pixels of every level
  const int64_t across = (args.width + kColumns - 1) / kColumns, down = (args.height + kRows - 1) / kRows;
  for (int64_t begin = 0; begin < args.frames; begin += kBatch) {
    const int64_t count = min_of(kBatch, args.frames - begin);
    Frame frames[kBatch];
    for (int64_t i = 0; i < count; ++i) frames[i] = frame_of(args, begin + i, workspace + i * layout.floats);
    parallel(cpu, (args.gh + strip - 1) / strip, [&](int64_t i) {
      const int64_t y0 = i * strip, y1 = min_of(y0 + strip, args.gh);
      fill(args, layout, needed(args, map, y0, y1), frames, count);
    });
    parallel(cpu, across * down, [&](int64_t i) {
      const Tile tile = tile_at(args, i / across * kRows, i % across * kColumns);
      Scratch scratch;
      memset(scratch.field, 0, sizeof scratch.field);  // read in whole vectors
      memset(scratch.line, 0, sizeof scratch.line);
      prefetch_fields(args, layout, frames[0], tile);
      for (int64_t k = 0; k < count; ++k) {
        if (k + 1 < count) prefetch_fields(args, layout, frames[k + 1], tile);
        render_tile(args, layout, frames[k], tile, scratch);
      }
      if (!args.recolouring) return;
      const int64_t bottom = tile.top + tile.rows, right = tile.left + tile.columns;
      recolour_slice(*args.recolouring, {begin, begin + count, tile.top, bottom, tile.left, right});
    });
  }
}

size_t render_workspace(const stylecine_render_args &args, int) {
  return size_t(map_bytes(args)) + size_t(min_of(args.frames, kBatch) * plan(args, args.level).floats) * sizeof(float);
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
