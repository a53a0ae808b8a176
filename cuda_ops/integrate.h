// integrate: advection along a steady flow, dx/dt = v(x), by the midpoint rule x += step v(x + step/2 v(x)).
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_integrate_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->flow || !args->positions || !args->rates) return no("flow, positions or rates is NULL");
  if (args->fields < 1 || args->h < 1 || args->w < 1) return no("fields, h and w are at least 1");
  if (args->h > 1 << 24 || args->w > 1 << 24 || args->h * args->w > INT32_MAX)
    return no("h and w are at most 2^24, h*w below 2^31");
  if (args->knots < 1 || args->substeps < 1) return no("knots and substeps are at least 1");
  if (args->substeps > 1 << 16) return no("substeps is at most 65536");
  if (args->fields > INT32_MAX / (args->h * args->w)) return no("fields*h*w is below 2^31");
  if (16.0 * double(args->knots) * double(args->fields) * double(args->h * args->w) > 9e18)
    return no("knots*fields*h*w is too large");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

struct Flow {
  const float *x, *y;  // [h,w] each
  int32_t h, w;
};
struct Velocity {
  float x, y;
};

// Values that are not finite count as 0.
STYLECINE_INLINE float finite(float v) { return is_finite(v) ? v : 0; }

// The flow at (x, y), counted from the centre of its first pixel; replicated past the border.
STYLECINE_INLINE Velocity look_up(Flow flow, float x, float y) {
  x = clamp(x, 0, float(flow.w - 1));
  y = clamp(y, 0, float(flow.h - 1));
  const int32_t left = int32_t(x), top = int32_t(y);
  const int32_t right = left < flow.w - 1 ? left + 1 : left, bottom = top < flow.h - 1 ? top + 1 : top;
  const float fx = x - float(left), fy = y - float(top), gx = 1 - fx, gy = 1 - fy;
  const int32_t i = top * flow.w + left, j = top * flow.w + right, k = bottom * flow.w + left,
                l = bottom * flow.w + right;
  const float *const u = flow.x, *const v = flow.y;
  return {gy * (gx * finite(u[i]) + fx * finite(u[j])) + fy * (gx * finite(u[k]) + fx * finite(u[l])),
          gy * (gx * finite(v[i]) + fx * finite(v[j])) + fy * (gx * finite(v[k]) + fx * finite(v[l]))};
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
