// recolour on the CPU: bands of rows; a transform fills a vector.
#include "recolour.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t ROWS = 16;    // of a band
constexpr int64_t PART = 128;   // pixels of a row, at most, whose columns of the grid are held at once
constexpr int64_t CELLS = 512;  // transforms that are held

// Where the pixels of a part lie among its columns of the grid.
struct Columns {
  int64_t x, n;          // pixels
  int64_t first, count;  // columns of the grid
  alignas(64) float f[PART];
  alignas(64) int32_t left[PART], right[PART];  // floats from the beginning of a line
};

// The transforms of `depth` points from column `first` on, `count` columns, interpolated down to one row.
void read_line(const stylecine_recolour_args &args, const Between &down, int64_t first, int64_t count, float *line) {
  const int64_t plane = args.gh * args.gw * kTransform;
  for (int64_t column = 0; column < count; ++column) {
    const int64_t x = first + column;
    for (int64_t d = 0; d < args.depth; ++d) {
      const float *above = args.grid + d * plane + (down.first * args.gw + x) * kTransform;
      const float *below = args.grid + d * plane + (down.second * args.gw + x) * kTransform;
      const Vector start = load(above);
      save(line + (column * args.depth + d) * kTransform, fma(load(below) - start, all(down.f), start));
    }
  }
}

void plan(const stylecine_recolour_args &args, int64_t x, Columns &columns) {
  const int64_t most = CELLS / args.depth;  // at least 2
  columns.x = x, columns.first = across(x, args.width, args.gw).first;
  for (columns.n = 0; columns.n < PART && x + columns.n < args.width; ++columns.n) {
    const Between at = across(x + columns.n, args.width, args.gw);
    if (at.second - columns.first >= most) break;
    columns.f[columns.n] = at.f;
    columns.left[columns.n] = int32_t((at.first - columns.first) * args.depth * kTransform);
    columns.right[columns.n] = int32_t((at.second - columns.first) * args.depth * kTransform);
    columns.count = at.second - columns.first + 1;
  }
}

// Temporaries of one row of a part.
struct Row {
  alignas(64) float colour[(PART + 4) * 4], sum[(PART + 4) * 4], weight[4][PART];
  alignas(64) int32_t low[PART], high[PART];
};

// The pixels of a row: their colours and 255, and where they lie among the lumas of the grid.
void read_pixels(const stylecine_recolour_args &args, const uint8_t *pixels, const Columns &columns, Row &row) {
  const int64_t n = columns.n;
  alignas(64) static const float kWhite[16] = {0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) save(row.colour + 4 * i, load_rgb(pixels + 3 * i) + load(kWhite));
  for (; i < n; ++i) {
    for (int c = 0; c < 3; ++c) row.colour[4 * i + c] = float(pixels[3 * i + c]);
    row.colour[4 * i + 3] = 255;
  }
  const float most = float(args.depth - 1);
  const int32_t last = int32_t(args.depth - 1);
  for (i = 0; i < n; ++i) {
    const float at = luma_of(row.colour[4 * i], row.colour[4 * i + 1], row.colour[4 * i + 2]) * most;
    const int32_t whole = int32_t(at);
    const float f = columns.f[i], g = at - float(whole), both = f * g;
    row.weight[0][i] = 1 - f - g + both, row.weight[1][i] = f - both;
    row.weight[2][i] = g - both, row.weight[3][i] = both;
    row.low[i] = whole * kTransform;
    row.high[i] = row.low[i] + (whole < last) * kTransform;
  }
}

// What is added to four pixels from the i-th of a part's row on, or to as many as there are.
STYLECINE_INLINE void sum_four(const stylecine_recolour_args &args, const float *line, const Columns &columns,
                               int64_t y, int64_t i, Row &row) {
  const int count = int(min_of(4, columns.n - i));
  const int64_t pixel = y * args.width + columns.x + i;
  const float *moving = args.still ? args.moving + pixel : nullptr;
  if (moving && count == 4 && !(moving[0] > 0 || moving[1] > 0 || moving[2] > 0 || moving[3] > 0))
    return save(row.sum + 4 * i, load_rgb(args.still + 3 * pixel) - load(row.colour + 4 * i));
  memset(row.sum + 4 * i, 0, 16 * sizeof(float));
  for (int k = 0; k < count; ++k) {
    const int64_t j = i + k;
    if (moving && !(moving[k] > 0)) {
      for (int c = 0; c < 3; ++c) row.sum[4 * j + c] = float(args.still[3 * (pixel + k) + c]) - row.colour[4 * j + c];
      continue;
    }
    const float *left = line + columns.left[j], *right = line + columns.right[j];
    Vector transform = load(left + row.low[j]) * all(row.weight[0][j]);
    transform = fma(load(right + row.low[j]), all(row.weight[1][j]), transform);
    transform = fma(load(left + row.high[j]), all(row.weight[2][j]), transform);
    transform = fma(load(right + row.high[j]), all(row.weight[3][j]), transform);
    add_fold(row.sum + 4 * j, transform * spread(row.colour + 4 * j));
  }
}

// n pixels of row y from column x on: by `amount` from `colour` to that and `sum`, clamped.
STYLECINE_INLINE void save_row(const float *colour, const float *sum, float amount, int64_t y, int64_t x, int64_t n,
                               uint8_t *out) {
  float noise[PART + 4];
  for (int64_t i = 0; i < n + 3; ++i) noise[i] = dither(y, x + i);
  const auto four = [&](int64_t i, uint8_t *to) {
    const Vector from = load(colour + 4 * i), added = clamp(from + load(sum + 4 * i), 0, 255) - from;
    save_rgb(to, clamp(fma(added, all(amount), from), 0, 255) + spread(noise + i));
  };
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) four(i, out + 3 * i);
  if (i == n) return;
  uint8_t last[12];  // a copy, as nothing may be written past the end
  four(i, last);
  memcpy(out + 3 * i, last, 3 * size_t(n - i));
}

bool moves(const float *moving, int64_t n) {
  int found = 0;
  for (int64_t i = 0; i < n; ++i) found |= moving[i] > 0;
  return found;
}

// One row of a part.
void recolour_row(const stylecine_recolour_args &args, const Columns &columns, int64_t y, float *line, Row &row) {
  const int64_t n = columns.n, pixel = y * args.width + columns.x;
  if (args.still && args.amount == 1 && !moves(args.moving + pixel, n)) {
    memcpy(args.out + 3 * pixel, args.still + 3 * pixel, 3 * size_t(n));
    return;
  }
  read_line(args, across(y, args.height, args.gh), columns.first, columns.count, line);
  read_pixels(args, args.frame + 3 * pixel, columns, row);
  for (int64_t i = 0; i < n; i += 4) sum_four(args, line, columns, y, i, row);
  save_row(row.colour, row.sum, args.amount, y, columns.x, n, args.out + 3 * pixel);
}

}  // namespace

void recolour(const stylecine_recolour_args &args, stylecine_cpu *cpu) {
  parallel(cpu, (args.height + ROWS - 1) / ROWS, [&](int64_t band) {
    alignas(64) float line[CELLS * kTransform];
    const int64_t bottom = min_of((band + 1) * ROWS, args.height);
    Columns columns = {};
    Row row = {};
    for (int64_t x = 0; x < args.width; x += columns.n) {
      plan(args, x, columns);
      for (int64_t y = band * ROWS; y < bottom; ++y) recolour_row(args, columns, y, line, row);
    }
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
