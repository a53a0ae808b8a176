// compare: second moments of two displaced copies of a level, block by block. See stylecine.h.
#pragma once

#include "cpu.h"
#include "sampling.h"

namespace stylecine {

static inline int check(const stylecine_compare_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args || !args->spline || !args->sources || !args->weight || !args->out) return no("an array is NULL");
  if (args->dtype < STYLECINE_FLOAT32 || args->dtype > STYLECINE_BFLOAT16) return no("no such dtype");
  if (args->h < 1 || args->w < 1 || args->h > 65536 || args->w > 65536 || 4 * args->h * args->w > INT32_MAX)
    return no("h and w are 1 to 65536, 4*h*w below 2^31");
  if (args->ratio < 1 || args->ratio > 4096 || (args->ratio & (args->ratio - 1)))
    return no("ratio is a power of two, at most 4096");
  if (args->rows < 1 || args->rows > 65536 || args->columns < 1 || args->columns > 65536)
    return no("rows and columns are 1 to 65536");
  if (args->rows * args->columns > INT32_MAX) return no("rows*columns is below 2^31");
  if (args->rows * args->ratio < args->h || args->columns * args->ratio < args->w)
    return no("rows*ratio and columns*ratio must cover the level");
  if (args->side < 1 || args->side > 64) return no("side is 1 to 64");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

constexpr int kProducts = 3;  // a*a, b*b, a*b

STYLECINE_INLINE int64_t blocks_along(int64_t pixels, int64_t side) { return (pixels + side - 1) / side; }

}  // namespace STYLECINE_SET
}  // namespace stylecine
