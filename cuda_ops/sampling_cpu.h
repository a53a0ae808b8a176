// Displaced copies of a level on the CPU: 16 pixels at a time, their four channels and the four taps of a row in the
// lanes of a vector.
#pragma once

#include "sampling.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {

namespace {

constexpr int64_t kColumns = 128;  // pixels of a row, at most, whose fields are computed at once
constexpr int kLanes = 16;
constexpr int64_t kLine = kColumns + 4 * kLanes;  // including what is read and written past their ends

// Sampling positions of one copy of 16 pixels.
struct Places {
  alignas(64) float across[kLanes * 4];  // weights of four columns, pixel by pixel
  float down[4][kLanes];                 // weights of four rows, times the copy's own
  int32_t row[kLanes], column[kLanes];
  int32_t first[kLanes];  // the first tap, counted from the first coefficient; if it is inside
  bool inside;            // all taps of all of them
};

// Positions of 16 pixels of `row` from `column` on with offsets x and y; `scale` converts these to coefficients.
STYLECINE_INLINE Places places(const float *x, const float *y, const float *weight, float column, float row,
                               float scale, int width, int height) {
  Places result;
  int outside = 0;
  for (int i = 0; i < kLanes; ++i) {
    float fx, fy;
    locate(2 * (column + float(i)) + x[i] * scale, width, result.column[i], fx);
    locate(2 * row + y[i] * scale, height, result.row[i], fy);
    cubic(fx, result.across[4 * i], result.across[4 * i + 1], result.across[4 * i + 2], result.across[4 * i + 3]);
    cubic(fy, result.down[0][i], result.down[1][i], result.down[2][i], result.down[3][i]);
    for (int k = 0; k < 4; ++k) result.down[k][i] *= weight[i];
    result.first[i] = int32_t(uint32_t(result.row[i]) * uint32_t(width) + uint32_t(result.column[i]));
    outside |=
        (result.column[i] < 0) | (result.column[i] > width - 4) | (result.row[i] < 0) | (result.row[i] > height - 4);
  }
  result.inside = !outside;
  return result;
}

// Weights of the four columns of taps at one pixel.
STYLECINE_INLINE Vector across(const Places &at, int i) { return spread(at.across + 4 * i); }

// One copy at one pixel: its four columns of taps, still to be summed.
template <class T>
STYLECINE_INLINE Vector columns(const T *spline, int64_t stride, const Places &at, int i) {
  const T *p = spline + at.first[i] * int64_t(4);
  Vector sum = load(p) * all(at.down[0][i]);
  for (int k = 1; k < 4; ++k) sum = fma(load(p + k * stride), all(at.down[k][i]), sum);
  return sum;
}

template <class T>
Vector columns_at_border(const T *spline, int width, int height, const Places &at, int i) {
  Vector sum = all(0);
  for (int k = 0; k < 4; ++k) {
    const int64_t y = max_of(0, min_of(at.row[i] + k, height - 1));
    float taps[16];
    for (int l = 0; l < 16; ++l) {
      const int64_t x = max_of(0, min_of(at.column[i] + l / 4, width - 1));
      taps[l] = value(spline[(y * width + x) * 4 + l % 4]);
    }
    sum = fma(load(taps), all(at.down[k][i]), sum);
  }
  return sum;
}

// Interpolates a field along a row: R pixels from each point to the next.
template <int R>
void interpolate(const float *line, int64_t points, float *out) {
  float f[kLanes];
  for (int k = 0; k < kLanes; ++k) f[k] = (k % R + 0.5f) / R;
  if (R == 4) {
    for (int64_t i = 0; i < points; i += 4) {
      const Vector left = spread(line + i);
      save(out + i * 4, fma(spread(line + i + 1) - left, load(f), left));
    }
  } else {
    STYLECINE_INDEPENDENT
    for (int64_t i = 0; i < points; ++i)
      for (int k = 0; k < R; ++k) out[i * R + k] = line[i] + (line[i + 1] - line[i]) * f[k];
  }
}

// Where n pixels of a row lie among the points of a grid.
struct GridRow {
  int64_t x, n;
  int64_t above, below;  // where these rows of points begin in a plane
  float f;
  int64_t from, to;  // the points around these pixels, some perhaps past the border
  int ratio;
};

inline GridRow grid_row(const Grid &grid, int64_t y, int64_t x, int64_t n) {
  GridRow row = {x, n, 0, 0, 0, x, x + n, grid.ratio};
  int above, below;
  between_points(int(y), grid.ratio, int(grid.rows), above, below, row.f);
  row.above = above * grid.columns, row.below = below * grid.columns;
  if (grid.ratio > 1) {
    row.from = (x - grid.ratio / 2) >> log2_of(grid.ratio);
    row.to = ((x + n - 1 - grid.ratio / 2) >> log2_of(grid.ratio)) + 2;
  }
  return row;
}

// One field at these pixels; returns a pointer to the first of them in `out` (or `line`).
inline const float *read_field(const Grid &grid, const GridRow &row, const float *plane, float *line, float *out) {
  const int ratio = row.ratio;
  const int64_t from = row.from, to = row.to, begin = max_of(from, 0), end = min_of(to, grid.columns);
  const float *first = plane + row.above, *second = plane + row.below;
  const float f = row.f;
  STYLECINE_INDEPENDENT
  for (int64_t i = begin; i < end; ++i) line[i - from] = first[i] + (second[i] - first[i]) * f;
  for (int64_t i = from; i < 0; ++i) line[i - from] = line[-from];  // replicated past the border
  for (int64_t i = end; i < to; ++i) line[i - from] = line[end - 1 - from];
  switch (ratio) {
    case 1:
      return line;
    case 2:
      interpolate<2>(line, to - from - 1, out);
      break;
    case 4:
      interpolate<4>(line, to - from - 1, out);
      break;
    case 8:
      interpolate<8>(line, to - from - 1, out);
      break;
    case 16:
      interpolate<16>(line, to - from - 1, out);
      break;
    default:
      for (int64_t i = 0; i < row.n; ++i) {
        const int64_t left = (row.x + i - ratio / 2) >> log2_of(ratio);
        const float part = (float(row.x + i - ratio / 2 - left * ratio) + 0.5f) / float(ratio);
        out[i] = line[left - from] + (line[left + 1 - from] - line[left - from]) * part;
      }
      return out;
  }
  return out + (row.x - (from * ratio + ratio / 2));
}

// Fields at n pixels of row y from column x on; `field` points to them. With a ratio of 1 there is no interpolation,
// and the line itself is the field.
template <int Count>
STYLECINE_INLINE void read_fields(const Grid &grid, const float *const (&planes)[Count], int64_t y, int64_t x,
                                  int64_t n, float (*values)[kLine], float *line, const float **field) {
  const GridRow row = grid_row(grid, y, x, n);
  if (grid.ratio == 4 && row.from >= 0 && row.to + 7 <= grid.columns) {  // in most cases, at once
    const int64_t before = x - (row.from * 4 + 2);
    alignas(64) static const float kQuarters[kLanes] = {0.125f, 0.375f, 0.625f, 0.875f, 0.125f, 0.375f, 0.625f, 0.875f,
                                                        0.125f, 0.375f, 0.625f, 0.875f, 0.125f, 0.375f, 0.625f, 0.875f};
    for (int k = 0; k < Count; ++k) {
      const float *above = planes[k] + row.above + row.from, *below = planes[k] + row.below + row.from;
      for (int64_t i = 0; i < row.to - row.from - 1; i += 4)
        save(values[k] + i * 4, quarters(above + i, below + i, row.f, load(kQuarters)));
      field[k] = values[k] + before;
    }
    return;
  }
  for (int k = 0; k < Count; ++k)
    field[k] = read_field(grid, row, planes[k], grid.ratio == 1 ? values[k] : line, values[k]);
}

}  // namespace

}  // namespace STYLECINE_SET
}  // namespace stylecine
