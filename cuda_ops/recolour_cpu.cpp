// recolour on the CPU: bands of rows; a transform fills a vector.
#include "recolour.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t ROWS = 16;               // of a band
constexpr int64_t PART = 128;              // pixels of a row, at most, whose columns of the grid are held at once
constexpr int64_t CELLS = 256;             // transforms that are held, each with its slope to the next column
constexpr int64_t kCell = 2 * kTransform;  // floats

// Where the pixels of a part lie among its columns of the grid.
struct Columns {
  int64_t x, n;          // pixels
  int64_t first, count;  // columns of the grid
  alignas(64) float f[PART];
  alignas(64) int32_t left[PART];  // floats from the beginning of a line
};

// The transforms of a part's columns, interpolated down to one row, each followed by its slope to the next column.
void read_line(const stylecine_recolour_args &args, const Between &down, const Columns &columns, float *line) {
  const int64_t plane = args.gh * args.gw * kTransform;
  const auto at = [&](int64_t column, int64_t d) {
    const int64_t x = min_of(columns.first + column, args.gw - 1);
    const Vector above = load(args.grid + d * plane + (down.first * args.gw + x) * kTransform);
    return fma(load(args.grid + d * plane + (down.second * args.gw + x) * kTransform) - above, all(down.f), above);
  };
  for (int64_t d = 0; d < args.depth; ++d) {
    Vector here = at(0, d);
    for (int64_t column = 0; column < columns.count; ++column) {
      float *cell = line + (column * args.depth + d) * kCell;
      const Vector next = at(column + 1, d);
      save(cell, here);
      save(cell + kTransform, next - here);
      here = next;
    }
  }
}

void plan(const stylecine_recolour_args &args, int64_t x, Columns &columns) {
  const int64_t most = CELLS / args.depth;  // at least 1
  columns.x = x, columns.first = across(x, args.width, args.gw).first;
  for (columns.n = 0; columns.n < PART && x + columns.n < args.width; ++columns.n) {
    const Between at = across(x + columns.n, args.width, args.gw);
    if (at.first - columns.first >= most) break;
    columns.f[columns.n] = at.f;
    columns.left[columns.n] = int32_t((at.first - columns.first) * args.depth * kCell);
    columns.count = at.first - columns.first + 1;
  }
}

// Temporaries of one row of a part.
struct Row {
  alignas(64) float colour[(PART + 4) * 4], sum[(PART + 4) * 4], level[PART];
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
    row.level[i] = at - float(whole);
    row.low[i] = whole * int32_t(kCell);
    row.high[i] = row.low[i] + (whole < last) * int32_t(kCell);
  }
}

// What is added to four pixels from the i-th of a part's row on, or to as many as there are.
STYLECINE_INLINE void sum_four(const stylecine_recolour_args &args, const float *line, const Columns &columns,
                               int64_t y, int64_t i, Row &row) {
  const int count = int(min_of(4, columns.n - i));
  const int64_t pixel = y * args.width + columns.x + i;
  const uint8_t *moving = args.moving ? args.moving + pixel : nullptr;
  const uint8_t *still = args.still ? args.still + 3 * pixel : args.frame + 3 * pixel;
  if (moving && count == 4 && !(moving[0] | moving[1] | moving[2] | moving[3]))
    return save(row.sum + 4 * i, load_rgb(still) - load(row.colour + 4 * i));
  memset(row.sum + 4 * i, 0, 16 * sizeof(float));
  for (int k = 0; k < count; ++k) {
    const int64_t j = i + k;
    if (moving && !moving[k]) {
      for (int c = 0; c < 3; ++c) row.sum[4 * j + c] = float(still[3 * k + c]) - row.colour[4 * j + c];
      continue;
    }
    const float *low = line + columns.left[j] + row.low[j], *high = line + columns.left[j] + row.high[j];
    const Vector f = all(columns.f[j]);
    const Vector darker = fma(load(low + kTransform), f, load(low));
    const Vector brighter = fma(load(high + kTransform), f, load(high));
    const Vector transform = fma(brighter - darker, all(row.level[j]), darker);
    add_fold(row.sum + 4 * j, transform * spread(row.colour + 4 * j));
  }
}

// n pixels of row y from column x on; four(i) are the colours of the i-th and the next three, from 0 to 255.
template <class Four>
STYLECINE_INLINE void save_row(int64_t y, int64_t x, int64_t n, uint8_t *out, Four &&four) {
  float noise[PART + 4];
  for (int64_t i = 0; i < n + 3; ++i) noise[i] = dither(y, x + i);
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) save_rgb(out + 3 * i, four(i) + spread(noise + i));
  if (i == n) return;
  uint8_t last[12];  // a copy, as nothing may be written past the end
  save_rgb(last, four(i) + spread(noise + i));
  memcpy(out + 3 * i, last, 3 * size_t(n - i));
}

// A row of a part in which nothing moves.
void blend_row(const stylecine_recolour_args &args, const Columns &columns, int64_t y) {
  const int64_t n = columns.n, begin = 3 * (y * args.width + columns.x);
  const uint8_t *frame = args.frame + begin, *still = args.still ? args.still + begin : frame;
  if (still == frame || args.amount == 1) {
    if (args.out + begin != still) memcpy(args.out + begin, still, 3 * size_t(n));
    return;
  }
  const auto colours = [n](const uint8_t *pixels, int64_t i) {
    if (i + 4 <= n) return load_rgb(pixels + 3 * i);
    uint8_t last[12] = {};  // a copy, as nothing may be read past the end
    memcpy(last, pixels + 3 * i, 3 * size_t(n - i));
    return load_rgb(last);
  };
  save_row(y, columns.x, n, args.out + begin, [&](int64_t i) {
    const Vector from = colours(frame, i);
    return clamp(fma(colours(still, i) - from, all(args.amount), from), 0, 255);
  });
}

bool moves(const uint8_t *moving, int64_t n) {
  int found = 0;
  for (int64_t i = 0; i < n; ++i) found |= moving[i];
  return found;
}

// One row of a part.
void recolour_row(const stylecine_recolour_args &args, const Columns &columns, int64_t y, float *line, Row &row) {
  const int64_t n = columns.n, pixel = y * args.width + columns.x;
  if (args.moving && !moves(args.moving + pixel, n)) return blend_row(args, columns, y);
  read_line(args, across(y, args.height, args.gh), columns, line);
  read_pixels(args, args.frame + 3 * pixel, columns, row);
  for (int64_t i = 0; i < n; i += 4) sum_four(args, line, columns, y, i, row);
  save_row(y, columns.x, n, args.out + 3 * pixel, [&](int64_t i) {
    const Vector from = load(row.colour + 4 * i), added = clamp(from + load(row.sum + 4 * i), 0, 255) - from;
    return clamp(fma(added, all(args.amount), from), 0, 255);
  });
}

}  // namespace

void recolour(const stylecine_recolour_args &args, stylecine_cpu *cpu) {
  parallel(cpu, (args.height + ROWS - 1) / ROWS, [&](int64_t band) {
    alignas(64) float line[CELLS * kCell];
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
