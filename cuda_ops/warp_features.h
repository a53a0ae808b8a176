// warp_features: a cubic spline through a feature map at twice its resolution, sampled at two places and mixed.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_warp_features_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->spline || !args->sources || !args->weights || !args->out)
    return no("spline, sources, weights or out is NULL");
  if (args->dtype < STYLECINE_FLOAT32 || args->dtype > STYLECINE_BFLOAT16) return no("no such dtype");
  if (args->channels < 1 || args->h < 1 || args->w < 1 || args->a < 1 || args->b < 1)
    return no("channels, h, w, a and b are at least 1");
  if (args->h > 1 << 22 || args->w > 1 << 22 || args->a > 1 << 24 || args->b > 1 << 24)
    return no("h and w are at most 2^22, a and b at most 2^24");
  if (args->a * args->b > INT32_MAX) return no("a*b is below 2^31");
  if (16.0 * double(args->channels) * (double(args->h * args->w) + double(args->a * args->b)) > 9e18)
    return no("channels*h*w is too large");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// The four coefficients around a position on one axis, and their weights.
struct Taps {
  int32_t at[4];
  float weight[4];
};

// `place` in pixels of the map, which has `size` coefficients, two a pixel; the border is replicated.
STYLECINE_INLINE Taps taps(float place, int32_t size) {
  const float p = clamp(2 * place, -3, float(size + 2));
  const int32_t pixel = floor_of(p);
  Taps result;
  for (int i = 0; i < 4; ++i) result.at[i] = inside(pixel + i - 1, size);
  cubic(p - float(pixel), result.weight[0], result.weight[1], result.weight[2], result.weight[3]);
  return result;
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
