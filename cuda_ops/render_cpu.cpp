// render on the CPU: tiles that fit into the cache, pixels of four channels in the lanes of a vector.
#include <cmath>

#include "cpu.h"
#include "render.h"
#include "sampling_cpu.h"

namespace stylecine {
namespace STYLECINE_SET {

namespace {

constexpr int64_t kRows = 64;                                     // of a tile, which is kColumns wide
constexpr int64_t kBlock = 64;                                    // grid points whose fields are computed together
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

// Adds one copy of a level at the pixels of `at`.
template <class T>
STYLECINE_INLINE void add_copy(const T *spline, int width, int height, const Places &at, int count, float *out) {
  if (at.inside)
    for (int i = 0; i < count; ++i) add_fold(out + i * 4, columns(spline, width * int64_t(4), at, i) * across(at.f[i]));
  else
    for (int i = 0; i < count; ++i)
      add_fold(out + i * 4, columns_at_border(spline, width, height, at, i) * across(at.f[i]));
}

STYLECINE_INLINE bool any(const float *weight, int count) {
  int found = 0;
  for (int i = 0; i < count; ++i) found |= weight[i] != 0;
  return found;
}

// Adds both copies of a level at n pixels of row y from column x on, whose fields are in `field`. A copy is not read
// where it shows at none of kLanes pixels: outside of its crossfade a place shows one alone.
template <class T>
void add_copies(const stylecine_level &level, const float *const *field, int64_t y, int64_t x, int64_t n, float *out) {
  const T *spline = static_cast<const T *>(level.spline);
  const int width = int(2 * level.w), height = int(2 * level.h);
  const float scale = 2.0f / float(level.scale);
  const auto find = [&](int copy, int64_t j) {
    const Places at = places(field[2 * copy] + j, field[2 * copy + 1] + j, field[4 + copy] + j, float(x + j), float(y),
                             scale, width, height);
    if (at.inside) prefetch(spline, width * int64_t(4), at);
    return at;
  };
  for (int64_t j = 0; j < n; j += kLanes) {
    const int count = int(min_of(kLanes, n - j));
    const bool shows_a = any(field[4] + j, count), shows_b = any(field[5] + j, count);
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
    for (int i = 0; i < count; ++i) {
      const Vector first = columns(spline, width * int64_t(4), a, i) * across(a.f[i]);
      add_fold(out + (j + i) * 4, fma(columns(spline, width * int64_t(4), b, i), across(b.f[i]), first));
    }
  }
}

// Adds a level at n pixels of row y from column x on, all of them inside the level.
void add_level(const stylecine_level &level, const Fields &fields, const float *workspace, int64_t y, int64_t x,
               int64_t n, float *out, Scratch &scratch) {
  const float *field[6];
  for (int k = 0; k < 6; ++k) {
    // With a ratio of 1 there is no interpolation, and the line itself is the field.
    float *line = fields.ratio == 1 ? scratch.field[k] : scratch.line;
    field[k] = field_row(fields, workspace + fields.plane[k], y, x, n, line, scratch.field[k]);
  }
  if (level.dtype == STYLECINE_FLOAT16) add_copies<half>(level, field, y, x, n, out);
  else if (level.dtype == STYLECINE_BFLOAT16) add_copies<bfloat>(level, field, y, x, n, out);
  else add_copies<float>(level, field, y, x, n, out);
}

// n pixels of row y from column x on of a patch upsampled by two: zeros inserted, then [1,3,3,1].
void upsample(const float *patch, const Range &at, int64_t y, int64_t x, int64_t n, float *line, float *out) {
  const int64_t near = y >> 1, far = y & 1 ? near + 1 : near - 1, columns = at.x1 - at.x0;
  const float *first = patch + (near - at.y0) * columns * 4, *second = patch + (far - at.y0) * columns * 4;
  for (int64_t i = 0; i < columns * 4; ++i) line[i] = 0.75f * first[i] + 0.25f * second[i];
  for (int64_t i = 0; i < n; ++i) {
    const int64_t here = (x + i) >> 1, beside = (x + i) & 1 ? here + 1 : here - 1;
    for (int c = 0; c < 4; ++c)
      out[i * 4 + c] = 0.75f * line[(here - at.x0) * 4 + c] + 0.25f * line[(beside - at.x0) * 4 + c];
  }
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

// The range of the n pixels that moves: first and one past the last; 0, 0 if nothing does.
void span(const float *moving, int64_t n, int64_t &first, int64_t &last) {
  int any = 0;
  for (int64_t i = 0; i < n; ++i) any |= moving[i] > 0;
  first = last = 0;
  if (!any) return;
  while (!(moving[first] > 0)) ++first;
  for (last = n; !(moving[last - 1] > 0);) --last;
}

void render_tile(const stylecine_render_args &args, const Plan &plan, const float *workspace, int64_t top,
                 int64_t left) {
  const int64_t rows = min_of(kRows, args.height - top), columns = min_of(kColumns, args.width - left);
  int64_t first[kRows], last[kRows];
  bool moves = false;
  for (int64_t y = 0; y < rows; ++y) {
    const int64_t at = (top + y) * args.width + left;
    memcpy(args.out + at * 3, args.photo + at * 3, columns * 3);
    span(args.moving + at, columns, first[y], last[y]);
    moves |= last[y] > 0;
  }
  if (!moves) return;

  Scratch scratch;
  memset(scratch.field, 0, sizeof scratch.field);  // read in whole vectors
  memset(scratch.line, 0, sizeof scratch.line);
  Range range[kMaxLevels];
  ranges_of(args, top, left, rows, columns, range);
  float *sum = scratch.patch[0], *before = scratch.patch[1];
  for (int i = args.levels - 1; i > 0; --i) {
    const Range &at = range[i];
    const stylecine_level &level = args.level[i];
    const int64_t wide = at.x1 - at.x0, x0 = max_of(at.x0, 0), x1 = min_of(at.x1, level.w);
    for (int64_t y = at.y0; y < at.y1; ++y) {  // 0 outside the level
      float *out = sum + (y - at.y0) * wide * 4;
      const bool inside = y >= 0 && y < level.h && x0 < x1;
      if (!inside || i == args.levels - 1 || x0 > at.x0 || x1 < at.x1) memset(out, 0, wide * 4 * sizeof(float));
      if (!inside) continue;
      float *begin = out + (x0 - at.x0) * 4;
      if (i < args.levels - 1) upsample(before, range[i + 1], y, x0, x1 - x0, scratch.coarse, begin);
      add_level(level, plan.fields[i], workspace, y, x0, x1 - x0, begin, scratch);
    }
    float *done = sum;
    sum = before, before = done;
  }
  const int64_t height = args.height + 2 * args.margin, width = args.width + 2 * args.margin;
  for (int64_t y = 0; y < rows; ++y) {
    const int64_t n = last[y] - first[y];
    if (n == 0) continue;
    const int64_t in_canvas_y = range[0].y0 + y, in_canvas_x = range[0].x0 + first[y];
    if (args.levels > 1) upsample(before, range[1], in_canvas_y, in_canvas_x, n, scratch.coarse, scratch.row);
    else memset(scratch.row, 0, n * 4 * sizeof(float));
    add_level(args.level[0], plan.fields[0], workspace, in_canvas_y, in_canvas_x, n, scratch.row, scratch);
    if (args.base) {
      const float *base = args.base + in_canvas_y * width + in_canvas_x;
      for (int c = 0; c < 3; ++c)
        for (int64_t i = 0; i < n; ++i) scratch.row[i * 4 + c] += base[c * height * width + i];
    }
    const int64_t at = (top + y) * args.width + left + first[y];
    compose(args.photo + at * 3, args.moving + at, scratch.row, top + y, left + first[y], n, args.out + at * 3);
  }
}

// Whether anything moves close enough to rows y0 to y1 of the grid for their fields to be needed.
bool needed(const stylecine_render_args &args, int64_t y0, int64_t y1) {
  const int64_t reach =
      4 * max_of(args.cell, int64_t(1) << (args.levels - 1));  // more than the support of levels and fields
  const int64_t bottom = min_of(args.height, y1 * args.cell - args.margin + reach);
  for (int64_t y = max_of(0, y0 * args.cell - args.margin - reach); y < bottom; ++y) {
    const float *row = args.moving + y * args.width;
    int any = 0;
    for (int64_t x = 0; x < args.width; ++x) any |= row[x] > 0;
    if (any) return true;
  }
  return false;
}

// The sub-cycles of up to kBlock places in a row of the grid.
struct Cycles {
  float phase[kBlock], length[kBlock], share[kBlock];
  float angle[kPhases][kBlock], gain_a[kPhases][kBlock], gain_b[kPhases][kBlock];  // hats of each known phase
  int32_t swapped[kBlock];
  bool counts[kPhases];  // whether any of its hats is not 0
};

void find_cycles(const stylecine_render_args &args, int64_t at, int64_t n, Cycles &cycles) {
  const uint8_t *turn = args.turn + at;
  for (int64_t x = 0; x < n; ++x) {
    const int k = turn[x] < args.turns ? turn[x] : 0;
    const Phase now =
        args.stagger ? phase_of(args.phase[k], args.shift[k], args.stagger[at + x]) : Phase{args.phase[k], false};
    cycles.phase[x] = now.phase, cycles.swapped[x] = now.swapped, cycles.length[x] = args.length[k];
  }
  const float *change = args.change + at;
  for (int64_t x = 0; x < n; ++x) cycles.share[x] = copy_b_share(cycles.phase[x], change + x, args.gh * args.gw);
  for (int knot = 0; knot < kPhases; ++knot) {
    float most = 0;
    for (int64_t x = 0; x < n; ++x) {
      const Hats hat = hats(knot, cycles.phase[x]);
      cycles.angle[knot][x] = hat.angle, cycles.gain_a[knot][x] = hat.gain_a, cycles.gain_b[knot][x] = hat.gain_b;
      most = hat.angle > most ? hat.angle : most;  // the other two are 0 where this is
    }
    cycles.counts[knot] = most > 0;
  }
}

// Where the age of a copy lies between the knots, and what the knots count.
struct Ages {
  int32_t knot[kBlock];
  float start[kBlock], end[kBlock], start_rate[kBlock], end_rate[kBlock];
  int32_t first, last;  // knots
};

void find_ages(const stylecine_render_args &args, const Cycles &cycles, bool copy_b, int64_t n, Ages &ages) {
  for (int64_t x = 0; x < n; ++x) {
    const float age = cycles.length[x] * (copy_b ? 1 - cycles.phase[x] : cycles.phase[x]);
    const Moment now = moment(age, args.stride, args.knots, float(args.cell));
    ages.knot[x] = int32_t(now.knot);
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
    for (int64_t x = 0; x < n; ++x) {
      const float value = (ages.start[x] * first[x] + ages.end[x] * second[x]) +
                          (ages.start_rate[x] * first_rate[x] + ages.end_rate[x] * second_rate[x]);
      out[x] = ages.knot[x] == knot ? value : out[x];
    }
  }
}

// Four planes of sources, two of weights for each level, of n places from `at` on.
void fill_block(const stylecine_render_args &args, const Cycles &cycles, float *planes, int64_t at, int64_t n) {
  const int64_t points = args.gh * args.gw;
  Ages ages[2];
  for (int copy = 0; copy < 2; ++copy) find_ages(args, cycles, copy == 1, n, ages[copy]);
  for (int axis = 0; axis < 2; ++axis) {
    float source[2][kBlock] = {};
    for (int copy = 0; copy < 2; ++copy) {  // copy A is displaced backward (the second field), copy B forward
      const int64_t field = ((copy == 0 ? 2 : 0) + axis) * points + at;
      displace(ages[copy], args.positions + field, args.rates + field, 4 * points, n, source[copy]);
    }
    float *a = planes + axis * points + at, *b = a + 2 * points;
    for (int64_t x = 0; x < n; ++x) {
      a[x] = cycles.swapped[x] ? source[1][x] : source[0][x];
      b[x] = cycles.swapped[x] ? source[0][x] : source[1][x];
    }
    if (!args.roll) continue;
    const float *roll = args.roll + axis * points + at;
    for (int64_t x = 0; x < n; ++x) {
      const float offset = swell_offset(args, roll + x, 2 * points);
      a[x] += offset, b[x] += offset;
    }
  }
  float theta[kBlock], gain_a[kBlock], gain_b[kBlock];
  for (int level = 0; level < args.levels; ++level) {
    for (int64_t x = 0; x < n; ++x) theta[x] = gain_a[x] = gain_b[x] = 0;
    for (int knot = 0; knot < kPhases; ++knot) {
      if (!cycles.counts[knot]) continue;
      const float *angle = args.angle + (kPhases * level + knot) * points + at;
      const float *lift_a = args.lift + (kPhases * 2 * level + knot) * points + at, *lift_b = lift_a + kPhases * points;
      for (int64_t x = 0; x < n; ++x) {
        theta[x] += cycles.angle[knot][x] * angle[x];
        gain_a[x] += cycles.gain_a[knot][x] * (lift_a[x] - 1);
        gain_b[x] += cycles.gain_b[knot][x] * (lift_b[x] - 1);
      }
    }
    float *a = planes + (4 + 2 * level) * points + at, *b = a + points;
    for (int64_t x = 0; x < n; ++x) {
      float weight_a, weight_b;
      mixing(theta[x], gain_a[x], gain_b[x], cycles.share[x], weight_a, weight_b);
      a[x] = cycles.swapped[x] ? weight_b : weight_a;
      b[x] = cycles.swapped[x] ? weight_a : weight_b;
    }
  }
}

void fill_rows(const stylecine_render_args &args, float *planes, int64_t y0, int64_t y1) {
  Cycles cycles;
  for (int64_t y = y0; y < y1; ++y)
    for (int64_t x = 0; x < args.gw; x += kBlock) {
      const int64_t at = y * args.gw + x, n = min_of(kBlock, args.gw - x);
      find_cycles(args, at, n, cycles);
      fill_block(args, cycles, planes, at, n);
    }
}

// Six planes of a level whose pixels hold wide*wide cells each: the cells' means, for rows y0 to y1 of the grid.
void average_rows(const stylecine_render_args &args, int level, const Fields &fields, float *workspace, int64_t y0,
                  int64_t y1) {
  const int64_t points = args.gh * args.gw, wide = (int64_t(1) << level) / args.cell;
  for (int k = 0; k < 6; ++k) {
    const float *plane = workspace + (k < 4 ? k : 2 * level + k) * points;
    float *out = workspace + fields.plane[k];
    for (int64_t i = y0 / wide; i * wide < y1; ++i)
      for (int64_t j = 0; j < fields.columns; ++j) {
        const int64_t bottom = min_of((i + 1) * wide, args.gh), right = min_of((j + 1) * wide, args.gw);
        float sum = 0;
        for (int64_t y = i * wide; y < bottom; ++y)
          for (int64_t x = j * wide; x < right; ++x) sum += plane[y * args.gw + x];
        out[i * fields.columns + j] = sum / float((bottom - i * wide) * (right - j * wide));
      }
  }
}

}  // namespace

void render(const stylecine_render_args &args, void *bytes, stylecine_cpu *cpu) {
  float *const workspace = static_cast<float *>(bytes);
  const Plan layout = plan(args);
  const int64_t strip = max_of(16, (int64_t(1) << (args.levels - 1)) / args.cell);  // whole pixels of every level
  parallel(cpu, (args.gh + strip - 1) / strip, [&](int64_t i) {
    const int64_t y0 = i * strip, y1 = min_of(y0 + strip, args.gh);
    if (!needed(args, y0, y1)) return;
    fill_rows(args, workspace, y0, y1);
    for (int level = 0; level < args.levels; ++level)
      if ((int64_t(1) << level) > args.cell) average_rows(args, level, layout.fields[level], workspace, y0, y1);
  });
  const int64_t across = (args.width + kColumns - 1) / kColumns, down = (args.height + kRows - 1) / kRows;
  parallel(cpu, across * down,
           [&](int64_t i) { render_tile(args, layout, workspace, i / across * kRows, i % across * kColumns); });
}

size_t render_workspace(const stylecine_render_args &args, int) { return size_t(plan(args).floats) * sizeof(float); }

}  // namespace STYLECINE_SET
}  // namespace stylecine
