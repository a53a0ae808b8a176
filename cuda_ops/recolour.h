// recolour: a frame's colours changed by a bilateral grid of affine transforms. The arithmetic of one pixel.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

constexpr int kTransform = 16;  // floats: four columns, for red, green, blue and 255, of four channels

static inline int check(const stylecine_recolour_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->frame || !args->grid || !args->amount || !args->out) return no("frame, grid, amount or out is NULL");
  if (args->still && !args->moving) return no("moving is NULL, and still is not");
  if (args->height < 1 || args->width < 1 || args->height > 1 << 22 || args->width > 1 << 22)
    return no("height and width are 1 to 2^22");
  if (args->height * args->width > INT32_MAX) return no("height*width is below 2^31");
  if (args->gh < 1 || args->gw < 1 || args->depth < 1 || args->gh > 4096 || args->gw > 4096 || args->depth > 256)
    return no("gh and gw are 1 to 4096, depth is 1 to 256");
  if (args->frames < 1 || args->frames > 65536) return no("frames is 1 to 65536");
  for (int64_t i = 0; i < args->frames; ++i)
    if (!(args->amount[i] >= -16 && args->amount[i] <= 16)) return no("amount is -16 to 16");
  return STYLECINE_OK;
}

// Whether a GPU can read a column of a transform at once.
static inline bool readable(const stylecine_recolour_args &args) {
  return reinterpret_cast<uintptr_t>(args.grid) % (4 * sizeof(float)) == 0;
}

constexpr const char *UNREADABLE_GRID = "the grid has to lie at a multiple of the size of four numbers";

namespace STYLECINE_SET {

// Frames, rows and columns of a call.
struct Slice {
  int64_t frame0, frame1, y0, y1, x0, x1;
};

// recolour of a slice of the frames, on the CPU.
void recolour_slice(const stylecine_recolour_args &args, const Slice &slice);

// Of a colour, in [0,1] (Rec. 601).
STYLECINE_INLINE float luma_of(float red, float green, float blue) {
  return clamp((0.299f * red + 0.587f * green + 0.114f * blue) * (1 / 255.f), 0, 1);
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
