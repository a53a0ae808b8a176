// splat: sources pushed to the four pixels around where they land, sums divided by the sums of weights (softmax
// splatting: Niklaus and Liu, CVPR 2020; both copies jointly, as in StyleCineGAN).
#pragma once

#include <cfloat>
#include <cmath>

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_splat_args *args, char *message) {
  if (!args) return fail(message, STYLECINE_INVALID, "args is NULL");
  if (!args->image || !args->displacement || !args->weight || !args->out || !args->shares)
    return fail(message, STYLECINE_INVALID, "image, displacement, weight, out or shares is NULL");
  if (args->dtype < STYLECINE_FLOAT32 || args->dtype > STYLECINE_BFLOAT16)
    return fail(message, STYLECINE_INVALID, "dtype is none of float32, float16 and bfloat16");
  if (args->channels < 1 || args->copies < 1 || args->h < 1 || args->w < 1)
    return fail(message, STYLECINE_INVALID, "channels, copies, h and w have to be at least 1");
  if (args->h > 1 << 24 || args->w > 1 << 24) return fail(message, STYLECINE_INVALID, "h and w can be at most 2^24");
  if (32.0 * (double(args->channels) + double(args->copies)) * double(args->h * args->w) > 9e18)
    return fail(message, STYLECINE_INVALID, "(channels + copies)*h*w is more than there is memory in the world");
  if (!(args->plate > 0 && args->plate <= FLT_MAX))
    return fail(message, STYLECINE_INVALID, "plate has to be above 0, and finite");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// What a source counts; 0 if its weight is negative or not finite, or its displacement is not a number. Under softmax
// weights are counted from the `largest` of all, so that none overflows.
STYLECINE_INLINE float strength(float weight, float dx, float dy, bool softmax, float largest) {
  const float counted = softmax ? expf(weight - largest) : weight;
  return counted > 0 && counted <= FLT_MAX && dx == dx && dy == dy ? counted : 0;
}

// Where a source lands: the upper left of four pixels, and how far right of it and below. At most two pixels outside,
// where it is lost all the same.
struct Landing {
  int32_t column, row;
  float x, y;
};
STYLECINE_INLINE Landing landing(float x, float y, int64_t h, int64_t w) {
  x = between(x, -2, float(w));
  y = between(y, -2, float(h));
  const int32_t column = floor_of(x), row = floor_of(y);
  return {column, row, x - float(column), y - float(row)};
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
