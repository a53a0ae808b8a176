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

// B-spline weights of four taps as polynomials of f, each for four channels.
#define FOUR(x) x, x, x, x
alignas(64) const float kCubic[4][16] = {{FOUR(1 / 6.f), FOUR(4 / 6.f), FOUR(1 / 6.f), FOUR(0)},
                                         {FOUR(-3 / 6.f), FOUR(0), FOUR(3 / 6.f), FOUR(0)},
                                         {FOUR(3 / 6.f), FOUR(-6 / 6.f), FOUR(3 / 6.f), FOUR(0)},
                                         {FOUR(-1 / 6.f), FOUR(3 / 6.f), FOUR(-3 / 6.f), FOUR(1 / 6.f)}};
#undef FOUR

// Sampling positions of one copy of 16 pixels.
struct Places {
  float f[kLanes];
  float down[4][kLanes];  // weights of four rows, times the copy's own
  int32_t row[kLanes], column[kLanes];
  bool inside;  // all taps of all of them
};

// Positions of 16 pixels of `row` from `column` on with offsets x and y; `scale` converts these to coefficients.
STYLECINE_INLINE Places places(const float *x, const float *y, const float *weight, float column, float row,
                               float scale, int width, int height) {
  Places result;
  int outside = 0;
  for (int i = 0; i < kLanes; ++i) {
    float f;
    locate(2 * (column + float(i)) + x[i] * scale, width, result.column[i], result.f[i]);
    locate(2 * row + y[i] * scale, height, result.row[i], f);
    cubic(f, result.down[0][i], result.down[1][i], result.down[2][i], result.down[3][i]);
    for (int k = 0; k < 4; ++k) result.down[k][i] *= weight[i];
    outside |=
        (result.column[i] < 0) | (result.column[i] > width - 4) | (result.row[i] < 0) | (result.row[i] > height - 4);
  }
  result.inside = !outside;
  return result;
}

// One copy at one pixel: its four columns of taps, still to be summed.
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

STYLECINE_INLINE Vector across(float f) {
  const Vector x = all(f);
  return fma(fma(fma(load(kCubic[3]), x, load(kCubic[2])), x, load(kCubic[1])), x, load(kCubic[0]));
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
    for (int64_t i = 0; i < points; ++i)
      for (int k = 0; k < R; ++k) out[i * R + k] = line[i] + (line[i + 1] - line[i]) * f[k];
  }
}

// One field at n pixels of row y from column x on; returns a pointer to the first of them in `out` (or `line`).
const float *field_row(const Grid &grid, const float *plane, int64_t y, int64_t x, int64_t n, float *line, float *out) {
  const int ratio = grid.ratio;
  int64_t above, below;
  float f;
  between_points(y, ratio, grid.rows, above, below, f);
  const float *first = plane + above * grid.columns, *second = plane + below * grid.columns;
  // the points around these pixels, replicated past the border
  const int64_t from = ratio == 1 ? x : (x - ratio / 2) >> __builtin_ctz(ratio);
  const int64_t to = ratio == 1 ? x + n : ((x + n - 1 - ratio / 2) >> __builtin_ctz(ratio)) + 2;
  for (int64_t i = max_of(from, 0); i < min_of(to, grid.columns); ++i)
    line[i - from] = first[i] + (second[i] - first[i]) * f;
  for (int64_t i = from; i < 0; ++i) line[i - from] = first[0] + (second[0] - first[0]) * f;
  for (int64_t i = max_of(from, grid.columns); i < to; ++i) line[i - from] = line[grid.columns - 1 - from];
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
      for (int64_t i = 0; i < n; ++i) {
        const int64_t left = ((x + i - ratio / 2) >> __builtin_ctz(ratio));
        const float part = (float(x + i - ratio / 2 - left * ratio) + 0.5f) / float(ratio);
        out[i] = line[left - from] + (line[left + 1 - from] - line[left - from]) * part;
      }
      return out;
  }
  return out + (x - (from * ratio + ratio / 2));
}

}  // namespace

}  // namespace STYLECINE_SET
}  // namespace stylecine
