// warp_features: a cubic spline through a feature map, doubled beforehand, read at two places and mixed.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_warp_features_args *args, char *message) {
  if (!args) return fail(message, STYLECINE_INVALID, "args is NULL");
  if (!args->spline || !args->sources || !args->weights || !args->out)
    return fail(message, STYLECINE_INVALID, "spline, sources, weights or out is NULL");
  if (args->dtype < STYLECINE_FLOAT32 || args->dtype > STYLECINE_BFLOAT16)
    return fail(message, STYLECINE_INVALID, "dtype is none of float32, float16 and bfloat16");
  if (args->channels < 1 || args->h < 1 || args->w < 1 || args->a < 1 || args->b < 1)
    return fail(message, STYLECINE_INVALID, "channels, h, w, a and b have to be at least 1");
  if (args->h > 1 << 22 || args->w > 1 << 22 || args->a > 1 << 24 || args->b > 1 << 24)
    return fail(message, STYLECINE_INVALID, "h and w can be at most 2^22, a and b at most 2^24");
  if (16.0 * double(args->channels) * (double(args->h * args->w) + double(args->a * args->b)) > 9e18)
    return fail(message, STYLECINE_INVALID, "channels*h*w is more than there is memory in the world");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// The four coefficients around a place on one axis, and their weights.
struct Taps {
  int32_t at[4];
  float weight[4];
};

// `place` in pixels of the map, whose coefficients are `size` many: two a pixel, the border's replicated.
STYLECINE_INLINE Taps taps(float place, int32_t size) {
  const float p = between(2 * place, -3, float(size + 2));
  const int32_t pixel = floor_of(p);
  Taps made;
  for (int i = 0; i < 4; ++i) {
    const int32_t tap = pixel + i - 1, last = size - 1;
    made.at[i] = tap < 0 ? 0 : tap > last ? last : tap;
  }
  cubic(p - float(pixel), made.weight[0], made.weight[1], made.weight[2], made.weight[3]);
  return made;
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
