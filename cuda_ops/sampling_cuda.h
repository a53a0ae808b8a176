// Displaced copies of a level on the GPU, one pixel at a time.
#pragma once

#include "sampling.h"

namespace stylecine {
namespace cuda {
namespace {

struct Pixel {
  float c[4];
};
template <class T>
struct alignas(4 * sizeof(T)) Stored {
  T c[4];
};

// Whether the spline is aligned to four coefficients, which are read at once.
inline bool readable(const void *spline, int32_t dtype) {
  return reinterpret_cast<uintptr_t>(spline) %
             (dtype == STYLECINE_FLOAT32 ? sizeof(Stored<float>) : sizeof(Stored<half>)) ==
         0;
}

// A pixel's position among the points of a grid.
struct Around {
  int first, second;   // offsets of the rows above and below
  int left, right;     // columns
  float down, across;  // how far the pixel is past the first row and column

  __device__ Around(const Grid &grid, int y, int x) {
    int above, below;
    between_points(y, grid.ratio, int(grid.rows), above, below, down);
    between_points(x, grid.ratio, int(grid.columns), left, right, across);
    first = above * int(grid.columns), second = below * int(grid.columns);
  }
  __device__ float read(const float *__restrict__ plane) const {
    const float at_left = plane[first + left] + (plane[second + left] - plane[first + left]) * down;
    const float at_right = plane[first + right] + (plane[second + right] - plane[first + right]) * down;
    return at_left + (at_right - at_left) * across;
  }
};

// Adds a level, whose spline has height*width coefficients [height,width,4], at a position in these.
template <class T>
__device__ void add_copy(const void *coefficients, int height, int width, float x, float y, float weight, Pixel &sum) {
  const Stored<T> *const __restrict__ spline = static_cast<const Stored<T> *>(coefficients);
  int column, row;
  float fx, fy, across[4], down[4];
  locate(x, width, column, fx);
  locate(y, height, row, fy);
  cubic(fx, across[0], across[1], across[2], across[3]);
  cubic(fy, down[0], down[1], down[2], down[3]);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const Stored<T> *line = spline + inside(row + k, height) * width;
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const Stored<T> tap = line[inside(column + l, width)];
      const float share = weight * down[k] * across[l];
#pragma unroll
      for (int c = 0; c < 3; ++c) sum.c[c] += share * value(tap.c[c]);
    }
  }
}

}  // namespace
}  // namespace cuda
}  // namespace stylecine
