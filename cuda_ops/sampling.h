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
STYLECINE_INLINE void between_points(int pixel, int ratio, int points, int &first, int &second, float &f) {
  const int log2 = log2_of(2 * ratio);
  const int place = 2 * pixel + 1 - ratio;  // past the first point, in halves of a pixel
  const int whole = place >> log2;          // -1: the first pixels lie up to half a cell before it
  f = float(place - whole * (1 << log2)) * inverse_power(log2);
  first = whole < 0 ? 0 : whole < points ? whole : points - 1;
  second = whole + 1 < points ? whole + 1 : points - 1;
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
