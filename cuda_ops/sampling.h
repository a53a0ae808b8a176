// Where a displaced copy of a level is read: between which points of a grid a pixel lies, between which coefficients a
// place.
#pragma once

#include "shared.h"

namespace stylecine {
namespace STYLECINE_SET {

// The grid of a field over a level: a point in the middle of every ratio*ratio pixels, a power of two.
struct Grid {
  int64_t rows, columns;
  int ratio;
};

// Between which two points of a grid's row or column a pixel lies, and how far from the first.
STYLECINE_INLINE void between_points(int64_t pixel, int ratio, int64_t points, int64_t &first, int64_t &second,
                                     float &f) {
  const int64_t place = 2 * pixel + 1 - ratio;  // past the first point, in halves of a pixel
  const int64_t whole =
      place >= 0 ? place / (2 * ratio) : -1;  // pixels of the canvas are at most half a cell before it
  f = float(place - whole * 2 * ratio) / float(2 * ratio);
  first = at_least(0, at_most(whole, points - 1));
  second = at_least(0, at_most(whole + 1, points - 1));
}

// The tap left of place p of `size` coefficients, one to the left, and how far p is past the one in between.
STYLECINE_INLINE void locate(float p, int size, int &tap, float &f) {
  p = between(p, -4, float(size) + 4);
  const int whole = floor_of(p);
  f = p - float(whole);
  tap = whole - 1;
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
