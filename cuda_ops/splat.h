// splat: sources are scattered to the four pixels around their targets, and the sums divided by the sums of weights
// (softmax splatting: Niklaus and Liu, CVPR 2020; both copies jointly, as in StyleCineGAN).
#pragma once

#include <cfloat>
#include <cmath>

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_splat_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->image || !args->displacement || !args->weight || !args->out || !args->shares)
    return no("image, displacement, weight, out or shares is NULL");
  if (args->dtype < STYLECINE_FLOAT32 || args->dtype > STYLECINE_BFLOAT16) return no("no such dtype");
  if (args->channels < 1 || args->copies < 1 || args->h < 1 || args->w < 1)
    return no("channels, copies, h and w are at least 1");
  if (args->h > 1 << 24 || args->w > 1 << 24) return no("h and w are at most 2^24");
  if (args->copies > INT32_MAX / (double(args->h) * double(args->w))) return no("copies*h*w is below 2^31");
  if (32.0 * (double(args->channels) + double(args->copies)) * double(args->h * args->w) > 9e18)
    return no("(channels + copies)*h*w is too large");
  if (!(args->plate > 0 && args->plate <= FLT_MAX)) return no("plate is above 0 and finite");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// A source's effective weight; 0 if its weight is negative or not finite, or its displacement is NaN. Under softmax
// the `largest` of all weights is subtracted, so that none overflows.
STYLECINE_INLINE float effective_weight(float weight, float dx, float dy, bool softmax, float largest) {
  const float effective = softmax ? expf(weight - largest) : weight;
  return effective > 0 && effective <= FLT_MAX && dx == dx && dy == dy ? effective : 0;
}

// A source's target: the upper left of four pixels, and the fractions to the right and below. Clamped to two pixels
// outside the image, where it is lost anyway.
struct Landing {
  int32_t column, row;
  float x, y;
};
STYLECINE_INLINE Landing landing(float x, float y, int64_t h, int64_t w) {
  x = clamp(x, -2, float(w));
  y = clamp(y, -2, float(h));
  const int32_t column = floor_of(x), row = floor_of(y);
  return {column, row, x - float(column), y - float(row)};
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
