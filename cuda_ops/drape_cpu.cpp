// drape on the CPU: tile by tile, 16 pixels of a row at a time; the lanes of a vector hold four columns of taps of four
// channels.
#include "drape.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t TILE = kDrapeTile;
constexpr int64_t POINTS = TILE + 4;  // of the field that a row of a tile needs, at most
constexpr int LANES = 16;

// Catmull-Rom weights of four taps as polynomials of f, each repeated for four channels.
#define FOUR(x) x, x, x, x
alignas(64) const float kCatmullRom[4][16] = {{FOUR(0), FOUR(1), FOUR(0), FOUR(0)},
                                              {FOUR(-0.5f), FOUR(0), FOUR(0.5f), FOUR(0)},
                                              {FOUR(1), FOUR(-2.5f), FOUR(2), FOUR(-0.5f)},
                                              {FOUR(-0.5f), FOUR(1.5f), FOUR(-1.5f), FOUR(0.5f)}};
alignas(64) const float kSharper[4][16] = {{FOUR(0), FOUR(1), FOUR(0), FOUR(0)},
                                           {FOUR(-0.75f), FOUR(0), FOUR(0.75f), FOUR(0)},
                                           {FOUR(1.5f), FOUR(-2.25f), FOUR(1.5f), FOUR(-0.75f)},
                                           {FOUR(-0.75f), FOUR(1.25f), FOUR(-1.25f), FOUR(0.75f)}};
#undef FOUR

// A run of pixels between the same two points of the field's grid.
struct Run {
  int64_t from, to;  // pixels of the tile
  int64_t point[4];  // counted from the first that the tile needs
};

// Shared by all rows of a tile.
struct Columns {
  alignas(64) float f[TILE];  // fraction of each pixel past the second of its four points
  Run run[TILE];
  int64_t runs, first, points;
};

// The field at the pixels of one row of a tile.
struct Line {
  alignas(64) float at[3][TILE];
};

// Positions, mattes and gains of 16 pixels.
struct Batch {
  alignas(64) float f[LANES], down[4][LANES];
  alignas(64) float gain[LANES], at_rest[LANES], now[LANES], before[LANES], noise[LANES];
  int32_t row[LANES], column[LANES];
  bool inside;  // all taps of all of them
};

void plan(const stylecine_drape_args &args, int64_t left, int64_t n, Columns &result) {
  result.runs = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Position at = position_of(left + i, args.cell);
    result.f[i] = at.f;
    if (i == 0 || at.f <= result.f[i - 1]) {
      Run &run = result.run[result.runs++];
      run.from = i;
      for (int k = 0; k < 4; ++k) run.point[k] = max_of(0, min_of(at.second - 1 + k, args.gw - 1));
    }
    result.run[result.runs - 1].to = i + 1;
  }
  result.first = result.run[0].point[0];
  result.points = result.run[result.runs - 1].point[3] - result.first + 1;
  for (int64_t i = 0; i < result.runs; ++i)
    for (int64_t &point : result.run[i].point) point -= result.first;
}

// The field on one row: between two points a cubic B-spline is one polynomial.
void read_field(const stylecine_drape_args &args, int64_t y, const Columns &columns, Line &line) {
  const Around down = around(y, args.cell, args.gh);
  const int64_t plane = args.gh * args.gw;
  for (int k = 0; k < 3; ++k) {
    const float *row[4];
    for (int j = 0; j < 4; ++j) row[j] = args.field + k * plane + down.at[j] * args.gw + columns.first;
    float sum[POINTS];
    for (int64_t i = 0; i < columns.points; ++i)
      sum[i] = down.weight[0] * row[0][i] + down.weight[1] * row[1][i] + down.weight[2] * row[2][i] +
               down.weight[3] * row[3][i];
    for (int64_t r = 0; r < columns.runs; ++r) {
      const Run &run = columns.run[r];
      const float a = sum[run.point[0]], b = sum[run.point[1]], c = sum[run.point[2]], d = sum[run.point[3]];
      const float whole = (a + 4 * b + c) * (1 / 6.f), slope = (c - a) * 0.5f, bend = (a + c) * 0.5f - b,
                  twist = (d - a) * (1 / 6.f) + (b - c) * 0.5f;
      if (run.to - run.from == 4) {
        for (int i = 0; i < 4; ++i) {
          const float f = columns.f[run.from + i];
          line.at[k][run.from + i] = ((twist * f + bend) * f + slope) * f + whole;
        }
      } else {
        for (int64_t i = run.from; i < run.to; ++i) {
          const float f = columns.f[i];
          line.at[k][i] = ((twist * f + bend) * f + slope) * f + whole;
        }
      }
    }
  }
}

// Fills a batch with `count` pixels of row y from column x on, whose fields are dx, dy and gain.
STYLECINE_INLINE void locate(const stylecine_drape_args &args, int64_t y, int64_t x, int count, const float *dx,
                             const float *dy, const float *gain, Batch &result) {
  const int32_t width = int32_t(args.width), height = int32_t(args.height);
  int outside = 0;
  for (int i = 0; i < LANES; ++i) {
    float down;
    read_at(float(int32_t(x) + i) + dx[i], width, result.column[i], result.f[i]);
    read_at(float(int32_t(y)) + dy[i], height, result.row[i], down);
    float weight[4];
    cardinal(down, slope_of(args), weight);
    result.noise[i] = args.fine ? dither(y, x + i) : 0.5f;
    for (int k = 0; k < 4; ++k) result.down[k][i] = weight[k];
    result.gain[i] = gamma_gain(gain[i]);
    result.at_rest[i] = unmoved(dx[i], dy[i]);
    outside |= (i < count) & ((result.column[i] < 1) | (result.column[i] > width - 3) | (result.row[i] < 1) |
                              (result.row[i] > height - 3));
  }
  result.inside = !outside;
  const uint8_t *const here = args.matte + y * args.width + x;
  for (int i = 0; i < count; ++i) {
    result.before[i] = float(here[i]) * (1 / 255.f);
    uint16_t above = 0, below = 0;
    if (result.inside) {
      const uint8_t *const corner = args.matte + int64_t(result.row[i]) * args.width + result.column[i];
      memcpy(&above, corner, 2);
      memcpy(&below, corner + args.width, 2);
      if (above == below && (above == 0 || above == 0xffff)) {
        result.now[i] = above ? 1 : 0;
        continue;
      }
    }
    float down;
    read_at(float(int32_t(y)) + dy[i], height, result.row[i], down);
    result.now[i] = matte_at(args.matte, height, width, result.row[i], down, result.column[i], result.f[i]);
  }
}

STYLECINE_INLINE Vector across(float f, bool fine) {
  const Vector x = all(f);
  const auto &taps = fine ? kSharper : kCatmullRom;
  return fma(fma(fma(load(taps[3]), x, load(taps[2])), x, load(taps[1])), x, load(taps[0]));
}

// The photo's colour at pixel i's place: red, green, blue, nothing.
STYLECINE_INLINE void show(const stylecine_drape_args &args, const Batch &at, int i, float *out) {
  const int64_t pitch = args.width * 3;
  Vector sum;
  if (at.inside) {
    const uint8_t *const p = args.photo + (at.row[i] - 1) * pitch + (at.column[i] - 1) * int64_t(3);
    sum = load_rgb(p) * all(at.down[0][i]);
    for (int k = 1; k < 4; ++k) sum = fma(load_rgb(p + k * pitch), all(at.down[k][i]), sum);
  } else {
    sum = all(0);
    for (int k = 0; k < 4; ++k) {
      const uint8_t *const row = args.photo + max_of(0, min_of(at.row[i] + k - 1, args.height - 1)) * pitch;
      uint8_t four[12];
      for (int j = 0; j < 4; ++j)
        memcpy(four + 3 * j, row + max_of(0, min_of(at.column[i] + j - 1, args.width - 1)) * 3, 3);
      sum = fma(load_rgb(four), all(at.down[k][i]), sum);
    }
  }
  add_fold(out, sum * across(at.f[i], args.fine));
}

// Pixels i to i + count, at most four, of a batch; `pixel` is the first of them in the frame.
STYLECINE_INLINE void draw(const stylecine_drape_args &args, const Batch &at, int i, int count, int64_t pixel) {
  bool opaque = true, empty = true;  // only cloth, at rest and now; no cloth, at rest and now
  for (int k = i; k < i + count; ++k) {
    opaque &= at.now[k] == 1 && at.before[k] == 1;
    empty &= at.now[k] == 0 && at.before[k] == 0;
  }
  uint8_t photo[12] = {}, background[12] = {}, frame[12] = {};
  if (!opaque) {
    memcpy(photo, args.photo + 3 * pixel, 3 * size_t(count));
    memcpy(background, args.background + 3 * pixel, 3 * size_t(count));
    if (empty && !memcmp(photo, background, sizeof photo)) return;
  }
  float shown[16] = {};
  for (int k = 0; k < count; ++k)
    if (at.now[i + k] > 0) show(args, at, i + k, shown + 4 * k);
  Vector sum;
  if (opaque) {
    sum = fma(load(shown), spread(at.gain + i), spread(at.noise + i));
  } else {
    float part[4][4] = {};
    for (int k = 0; k < count; ++k) {
      const Shares share = shares(at.now[i + k], at.before[i + k], at.gain[i + k], at.at_rest[i + k]);
      part[0][k] = share.cloth, part[1][k] = share.photo, part[2][k] = share.background, part[3][k] = share.frame;
    }
    memcpy(frame, args.frame + 3 * pixel, 3 * size_t(count));
    sum = fma(load(shown), spread(part[0]), spread(at.noise + i));
    sum = fma(load_rgb(photo), spread(part[1]), sum);
    sum = fma(load_rgb(background), spread(part[2]), sum);
    sum = fma(load_rgb(frame), spread(part[3]), sum);
  }
  sum = clamp(sum, 0, 255.5f);
  if (count == 4) return save_rgb(args.frame + 3 * pixel, sum);
  save_rgb(frame, sum);
  memcpy(args.frame + 3 * pixel, frame, 3 * size_t(count));
}

void drape_tile(const stylecine_drape_args &args, int64_t top, int64_t left) {
  const int64_t bottom = min_of(top + TILE, args.height), n = min_of(TILE, args.width - left);
  Columns columns;
  plan(args, left, n, columns);
  Line line = {};
  Batch batch = {};
  for (int64_t y = top; y < bottom; ++y) {
    read_field(args, y, columns, line);
    for (int64_t x = 0; x < n; x += LANES) {
      const int count = int(min_of(LANES, n - x));
      locate(args, y, left + x, count, line.at[0] + x, line.at[1] + x, line.at[2] + x, batch);
      for (int i = 0; i < count; i += 4) draw(args, batch, i, int(min_of(4, count - i)), y * args.width + left + x + i);
    }
  }
}

}  // namespace

void drape(const stylecine_drape_args &args, stylecine_cpu *cpu) {
  const int64_t wide = (args.width + TILE - 1) / TILE, high = (args.height + TILE - 1) / TILE;
  parallel(cpu, wide * high, [&](int64_t tile) {
    if (args.active[tile]) drape_tile(args, tile / wide * TILE, tile % wide * TILE);
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
