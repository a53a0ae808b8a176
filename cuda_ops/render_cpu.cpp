// render on the CPU: tiles of a size that stays in the cache, pixels of four channels in the lanes of a vector.
#include <cmath>

#include "cpu.h"
#include "render.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {

namespace {

constexpr int64_t kRows = 64, kColumns = 128;  // of a tile
constexpr int kLanes = 16;
constexpr int64_t kLine = kColumns + 4 * kLanes;  // a row of a tile with what is read and written past its ends
constexpr int64_t kPatch = (kRows / 2 + 2) * (kColumns / 2 + 2);  // pixels of a tile in the second level

// B-spline weights of four taps as polynomials of f, each for four channels.
#define FOUR(x) x, x, x, x
alignas(64) const float kCubic[4][16] = {{FOUR(1 / 6.f), FOUR(4 / 6.f), FOUR(1 / 6.f), FOUR(0)},
                                         {FOUR(-3 / 6.f), FOUR(0), FOUR(3 / 6.f), FOUR(0)},
                                         {FOUR(3 / 6.f), FOUR(-6 / 6.f), FOUR(3 / 6.f), FOUR(0)},
                                         {FOUR(-1 / 6.f), FOUR(3 / 6.f), FOUR(-3 / 6.f), FOUR(1 / 6.f)}};
#undef FOUR

// What one tile needs besides the arrays: nothing of it outlives the tile.
struct Scratch {
  float field[6][kLine];  // of one row
  float line[kLine];
  float coarse[kColumns * 4], row[kColumns * 4];
  float patch[2][kPatch * 4];  // sum of the levels so far, [rows,columns,4], and the one before
};

// Where one copy of 16 pixels is read.
struct Places {
  float f[kLanes];
  float down[4][kLanes];  // weights of four rows, the copy's own included
  int32_t row[kLanes], column[kLanes];
  bool inside;  // all taps of all of them
};

STYLECINE_INLINE Places places(const float *x, const float *y, const float *weight, float column, float row, float scale,
                               int width, int height) {
  Places made;
  int outside = 0;
  for (int i = 0; i < kLanes; ++i) {
    float f;
    locate(2 * (column + float(i)) + x[i] * scale, width, made.column[i], made.f[i]);
    locate(2 * row + y[i] * scale, height, made.row[i], f);
    cubic(f, made.down[0][i], made.down[1][i], made.down[2][i], made.down[3][i]);
    for (int k = 0; k < 4; ++k) made.down[k][i] *= weight[i];
    outside |= (made.column[i] < 0) | (made.column[i] > width - 4) | (made.row[i] < 0) | (made.row[i] > height - 4);
  }
  made.inside = !outside;
  return made;
}

// One copy at one pixel: its four columns of taps, still to be added up.
template <class T>
STYLECINE_INLINE Vector columns(const T *spline, int64_t stride, const Places &at, int i) {
  const T *p = spline + at.row[i] * stride + at.column[i] * int64_t(4);
  Vector sum = load(p) * all(at.down[0][i]);
  for (int k = 1; k < 4; ++k) sum = fma(load(p + k * stride), all(at.down[k][i]), sum);
  return sum;
}

template <class T>
Vector columns_at_border(const T *spline, int width, int height, const Places &at, int i) {
  Vector sum = all(0);
  for (int k = 0; k < 4; ++k) {
    const int64_t y = at_least(0, at_most(at.row[i] + k, height - 1));
    float taps[16];
    for (int l = 0; l < 16; ++l) {
      const int64_t x = at_least(0, at_most(at.column[i] + l / 4, width - 1));
      taps[l] = value(spline[(y * width + x) * 4 + l % 4]);
    }
    sum = fma(load(taps), all(at.down[k][i]), sum);
  }
  return sum;
}

STYLECINE_INLINE Vector across(float f) {
  const Vector x = all(f);
  return fma(fma(fma(load(kCubic[3]), x, load(kCubic[2])), x, load(kCubic[1])), x, load(kCubic[0]));
}

// Adds both copies of a level at n pixels of row y from column x on; the fields of these pixels are given.
template <class T>
void add_copies(const stylecine_level &level, const float *const *field, int64_t y, int64_t x, int64_t n, float *out) {
  const T *spline = static_cast<const T *>(level.spline);
  const int width = int(2 * level.w), height = int(2 * level.h);
  const float scale = 2.0f / float(level.scale);
  for (int64_t j = 0; j < n; j += kLanes) {
    const Places a = places(field[0] + j, field[1] + j, field[4] + j, float(x + j), float(y), scale, width, height);
    const Places b = places(field[2] + j, field[3] + j, field[5] + j, float(x + j), float(y), scale, width, height);
    const int count = int(at_most(kLanes, n - j));
    if (a.inside && b.inside) {
      for (int i = 0; i < count; ++i) {
        const Vector first = columns(spline, width * int64_t(4), a, i) * across(a.f[i]);
        add_fold(out + (j + i) * 4, fma(columns(spline, width * int64_t(4), b, i), across(b.f[i]), first));
      }
    } else {
      for (int i = 0; i < count; ++i) {
        const Vector first = columns_at_border(spline, width, height, a, i) * across(a.f[i]);
        add_fold(out + (j + i) * 4, fma(columns_at_border(spline, width, height, b, i), across(b.f[i]), first));
      }
    }
  }
}

// A field between its points along a row: R pixels from each point to the next.
template <int R>
void widen(const float *line, int64_t points, float *out) {
  float f[kLanes];
  for (int k = 0; k < kLanes; ++k) f[k] = (k % R + 0.5f) / R;
  if (R == 4) {
    for (int64_t i = 0; i < points; i += 4) {
      const Vector left = spread(line + i);
      save(out + i * 4, fma(spread(line + i + 1) - left, load(f), left));
    }
  } else {
    for (int64_t i = 0; i < points; ++i)
      for (int k = 0; k < R; ++k) out[i * R + k] = line[i] + (line[i + 1] - line[i]) * f[k];
  }
}

// One field at n pixels of row y from column x on; returns where in `out` the first of them is.
const float *field_row(const Fields &fields, const float *plane, int64_t y, int64_t x, int64_t n, float *line, float *out) {
  const int ratio = fields.ratio;
  int64_t above, below;
  float f;
  between_points(y, ratio, fields.rows, above, below, f);
  const float *first = plane + above * fields.columns, *second = plane + below * fields.columns;
  // The points around these pixels, those past the border too.
  const int64_t from = ratio == 1 ? x : (x - ratio / 2) >> __builtin_ctz(ratio);
  const int64_t to = ratio == 1 ? x + n : ((x + n - 1 - ratio / 2) >> __builtin_ctz(ratio)) + 2;
  for (int64_t i = at_least(from, 0); i < at_most(to, fields.columns); ++i) line[i - from] = first[i] + (second[i] - first[i]) * f;
  for (int64_t i = from; i < 0; ++i) line[i - from] = first[0] + (second[0] - first[0]) * f;
  for (int64_t i = at_least(from, fields.columns); i < to; ++i) line[i - from] = line[fields.columns - 1 - from];
  switch (ratio) {
    case 1: return line;
    case 2: widen<2>(line, to - from - 1, out); break;
    case 4: widen<4>(line, to - from - 1, out); break;
    case 8: widen<8>(line, to - from - 1, out); break;
    case 16: widen<16>(line, to - from - 1, out); break;
    default:
      for (int64_t i = 0; i < n; ++i) {
        const int64_t left = ((x + i - ratio / 2) >> __builtin_ctz(ratio));
        const float part = (float(x + i - ratio / 2 - left * ratio) + 0.5f) / float(ratio);
        out[i] = line[left - from] + (line[left + 1 - from] - line[left - from]) * part;
      }
      return out;
  }
  return out + (x - (from * ratio + ratio / 2));
}

// Adds a level at n pixels of row y from column x on; all of them inside it.
void add_level(const stylecine_level &level, const Fields &fields, const float *workspace, int64_t y, int64_t x, int64_t n, float *out, Scratch &scratch) {
  const float *field[6];
  for (int k = 0; k < 6; ++k) {
    // With a ratio of 1 nothing is widened, and the line itself is the field.
    float *line = fields.ratio == 1 ? scratch.field[k] : scratch.line;
    field[k] = field_row(fields, workspace + fields.plane[k], y, x, n, line, scratch.field[k]);
  }
  if (level.dtype == STYLECINE_FLOAT16) add_copies<half>(level, field, y, x, n, out);
  else if (level.dtype == STYLECINE_BFLOAT16) add_copies<bfloat>(level, field, y, x, n, out);
  else add_copies<float>(level, field, y, x, n, out);
}

struct Range {
  int64_t y0, y1, x0, x1;
};

// n pixels of row y from column x on of a patch enlarged by two: [1,3,3,1] after zeros between the pixels.
void enlarge(const float *patch, const Range &at, int64_t y, int64_t x, int64_t n, float *line, float *out) {
  const int64_t near = y >> 1, far = y & 1 ? near + 1 : near - 1, columns = at.x1 - at.x0;
  const float *first = patch + (near - at.y0) * columns * 4, *second = patch + (far - at.y0) * columns * 4;
  for (int64_t i = 0; i < columns * 4; ++i) line[i] = 0.75f * first[i] + 0.25f * second[i];
  for (int64_t i = 0; i < n; ++i) {
    const int64_t here = (x + i) >> 1, beside = (x + i) & 1 ? here + 1 : here - 1;
    for (int c = 0; c < 4; ++c)
      out[i * 4 + c] = 0.75f * line[(here - at.x0) * 4 + c] + 0.25f * line[(beside - at.x0) * 4 + c];
  }
}

// n pixels of a row of the frame: the photo's, or the sum of the levels, or between them. All arrays begin at the first.
void compose(const uint8_t *photo, const float *moving, const float *sum, int64_t y, int64_t x, int64_t n, uint8_t *out) {
  float noise[kColumns + 4] = {};
  for (int64_t i = 0; i < n; ++i) noise[i] = dither(y, x + i);
  const auto four = [&](const uint8_t *still, const float *moves, int64_t i, uint8_t *bytes) {
    const Vector under = load_rgb(still);
    const Vector over = fma(clamp(load(sum + i * 4), -1, 1), all(127.5f), all(127.5f));
    save_rgb(bytes, fma(over - under, spread(moves), under) + spread(noise + i));
  };
  int64_t i = 0;
  for (; i + 4 < n; i += 4) four(photo + i * 3, moving + i, i, out + i * 3);
  uint8_t still[16] = {}, bytes[16];  // nothing is read past the end of the arrays
  float moves[4] = {};
  memcpy(still, photo + i * 3, (n - i) * 3);
  memcpy(moves, moving + i, (n - i) * sizeof(float));
  four(still, moves, i, bytes);
  memcpy(out + i * 3, bytes, (n - i) * 3);
}

// Which pixels of n, if any, move: first and one past the last.
void span(const float *moving, int64_t n, int64_t &first, int64_t &last) {
  int any = 0;
  for (int64_t i = 0; i < n; ++i) any |= moving[i] > 0;
  first = last = 0;
  if (!any) return;
  while (!(moving[first] > 0)) ++first;
  for (last = n; !(moving[last - 1] > 0);) --last;
}

void render_tile(const stylecine_render_args &args, const Plan &plan, const float *workspace, int64_t top, int64_t left) {
  const int64_t rows = at_most(kRows, args.height - top), columns = at_most(kColumns, args.width - left);
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
  memset(scratch.field, 0, sizeof scratch.field);  // whole vectors of it are read
  Range range[kMostLevels];
  range[0] = {top + args.margin, top + args.margin + rows, left + args.margin, left + args.margin + columns};
  for (int i = 1; i < args.levels; ++i) {
    range[i] = range[i - 1];
    coarser(range[i].y0, range[i].y1);
    coarser(range[i].x0, range[i].x1);
  }
  float *sum = scratch.patch[0], *before = scratch.patch[1];
  for (int i = args.levels - 1; i > 0; --i) {
    const Range &at = range[i];
    const stylecine_level &level = args.level[i];
    const int64_t wide = at.x1 - at.x0, x0 = at_least(at.x0, 0), x1 = at_most(at.x1, level.w);
    for (int64_t y = at.y0; y < at.y1; ++y) {  // nothing is left of what lies outside the level
      float *out = sum + (y - at.y0) * wide * 4;
      const bool inside = y >= 0 && y < level.h && x0 < x1;
      if (!inside || i == args.levels - 1 || x0 > at.x0 || x1 < at.x1) memset(out, 0, wide * 4 * sizeof(float));
      if (!inside) continue;
      float *begin = out + (x0 - at.x0) * 4;
      if (i < args.levels - 1) enlarge(before, range[i + 1], y, x0, x1 - x0, scratch.coarse, begin);
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
    if (args.levels > 1) enlarge(before, range[1], in_canvas_y, in_canvas_x, n, scratch.coarse, scratch.row);
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

// Whether anything moves so near to some rows of the grid that their fields are needed.
bool needed(const stylecine_render_args &args, int64_t y0, int64_t y1) {
  const int64_t reach = 4 * at_least(args.cell, int64_t(1) << (args.levels - 1));  // more than levels and fields look aside
  const int64_t bottom = at_most(args.height, y1 * args.cell - args.margin + reach);
  for (int64_t y = at_least(0, y0 * args.cell - args.margin - reach); y < bottom; ++y) {
    const float *row = args.moving + y * args.width;
    int any = 0;
    for (int64_t x = 0; x < args.width; ++x) any |= row[x] > 0;
    if (any) return true;
  }
  return false;
}

// The fields of some rows of the grid: four planes of sources, two of weights for each level.
void fill_rows(const stylecine_render_args &args, const Clock *clocks, float *planes, int64_t y0, int64_t y1) {
  const int64_t points = args.gh * args.gw, step = 4 * points;
  for (int64_t y = y0; y < y1; ++y) {
    const int64_t at = y * args.gw;
    const uint8_t *turn = args.turn + at;
    for (int k = 0; k < args.turns; ++k) {
      const Clock &clock = clocks[k];
      for (int axis = 0; axis < 4; ++axis) {  // copy A goes back (the second displacement), copy B forward
        const Moment &moment = axis < 2 ? clock.a : clock.b;
        const float *positions = args.positions + ((axis < 2 ? 2 : 0) + axis % 2) * points + at;
        const float *rates = args.rates + (positions - args.positions);
        float *out = planes + axis * points + at;
        for (int64_t x = 0; x < args.gw; ++x) {
          const float made = displaced(moment, positions + x, rates + x, step);
          out[x] = k == 0 || turn[x] == k ? made : out[x];
        }
      }
      for (int i = 0; i < args.levels; ++i) {
        const int64_t known = (kPhases * i + clock.phase) * points + at;
        const float *angle = args.angle + known, *lift = args.lift + known;
        float *a = planes + (4 + 2 * i) * points + at, *b = a + points;
        for (int64_t x = 0; x < args.gw; ++x) {
          float apart, gain, first, second;
          now(clock, angle + x, lift + x, points, apart, gain);
          mixing(apart, gain, clock.share, first, second);
          a[x] = k == 0 || turn[x] == k ? first : a[x];
          b[x] = k == 0 || turn[x] == k ? second : b[x];
        }
      }
    }
  }
}

// Six planes of a level whose pixels hold wide*wide cells: their means, for the pixels of some rows of the grid.
void average_rows(const stylecine_render_args &args, int level, const Fields &fields, float *workspace, int64_t y0, int64_t y1) {
  const int64_t points = args.gh * args.gw, wide = (int64_t(1) << level) / args.cell;
  for (int k = 0; k < 6; ++k) {
    const float *plane = workspace + (k < 4 ? k : 2 * level + k) * points;
    float *out = workspace + fields.plane[k];
    for (int64_t i = y0 / wide; i * wide < y1; ++i)
      for (int64_t j = 0; j < fields.columns; ++j) {
        const int64_t bottom = at_most((i + 1) * wide, args.gh), right = at_most((j + 1) * wide, args.gw);
        float sum = 0;
        for (int64_t y = i * wide; y < bottom; ++y)
          for (int64_t x = j * wide; x < right; ++x) sum += plane[y * args.gw + x];
        out[i * fields.columns + j] = sum / float((bottom - i * wide) * (right - j * wide));
      }
  }
}

}  // namespace

int render(const stylecine_render_args &args, float *workspace, stylecine_cpu *cpu) {
  const Plan made = plan(args);
  Clock clocks[kMostTurns];
  for (int i = 0; i < args.turns; ++i) clocks[i] = clock_of(args, i);
  const int64_t strip = at_least(16, (int64_t(1) << (args.levels - 1)) / args.cell);  // whole pixels of every level
  parallel(cpu, (args.gh + strip - 1) / strip, [&](int64_t i) {
    const int64_t y0 = i * strip, y1 = at_most(y0 + strip, args.gh);
    if (!needed(args, y0, y1)) return;
    fill_rows(args, clocks, workspace, y0, y1);
    for (int level = 0; level < args.levels; ++level)
      if ((int64_t(1) << level) > args.cell) average_rows(args, level, made.fields[level], workspace, y0, y1);
  });
  const int64_t across = (args.width + kColumns - 1) / kColumns, down = (args.height + kRows - 1) / kRows;
  parallel(cpu, across * down, [&](int64_t i) { render_tile(args, made, workspace, i / across * kRows, i % across * kColumns); });
  return STYLECINE_OK;
}

size_t render_workspace(const stylecine_render_args &args) { return size_t(plan(args).floats) * sizeof(float); }

}  // namespace STYLECINE_SET
}  // namespace stylecine
