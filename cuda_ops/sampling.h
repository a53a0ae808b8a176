// Sampling positions: of pixels between the points of a grid, and of points between spline coefficients.
#pragma once

#include "shared.h"

namespace stylecine {
namespace STYLECINE_SET {

// The grid of a field over a level: a point in the middle of every ratio*ratio pixels, a power of two.
struct Grid {
  int64_t rows, columns;
  int ratio;
};

// The two points of a grid's row or column between which a pixel lies, and the fraction past the first.
STYLECINE_INLINE void between_points(int64_t pixel, int ratio, int64_t points, int64_t &first, int64_t &second,
                                     float &f) {
  const int64_t place = 2 * pixel + 1 - ratio;                  // past the first point, in halves of a pixel
  const int64_t whole = place >= 0 ? place / (2 * ratio) : -1;  // the first pixels lie up to half a cell before it
  f = float(place - whole * 2 * ratio) / float(2 * ratio);
  first = max_of(0, min_of(whole, points - 1));
  second = max_of(0, min_of(whole + 1, points - 1));
}

// The first of the four taps around position p among `size` coefficients, and the fraction of p past the second.
STYLECINE_INLINE void locate(float p, int size, int &tap, float &f) {
  p = clamp(p, -4, float(size) + 4);
  const int whole = floor_of(p);
  f = p - float(whole);
  tap = whole - 1;
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
