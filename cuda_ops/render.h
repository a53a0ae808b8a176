// render: frames of a loop. See stylecine.h for the arrays.
//
// For each frame, first the fields: the sources of both copies on the grid, and their weights in every level. Then,
// tile by tile, the levels, coarsest first, each sampled and added to the upsampled sum of the coarser ones; finally
// the blend with the photo, and bytes.
#pragma once

#include "cpu.h"
#include "recolour.h"
#include "sampling.h"

namespace stylecine {

static inline int check(const stylecine_render_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args || !args->photo || !args->moving || !args->level || !args->positions || !args->rates || !args->sub_cycle ||
      !args->length || !args->phase || !args->angle || !args->contrast_gain || !args->crossfade || !args->out)
    return no("an array other than swell, generated, stagger, standing, light and recolouring is NULL");
  if (args->height < 1 || args->width < 1 || args->height > 32768 || args->width > 32768)
    return no("height and width are 1 to 32768");
  if (args->margin < 0 || args->margin > 32768) return no("margin is 0 to 32768");
  if (args->cell < 1 || args->cell > 4096 || (args->cell & (args->cell - 1)))
    return no("cell is a power of two, at most 4096");
  const int64_t height = args->height + 2 * int64_t(args->margin), width = args->width + 2 * int64_t(args->margin);
  if (args->gh < 1 || args->gh > 65536 || args->gw < 1 || args->gw > 65536) return no("gh and gw are 1 to 65536");
  if (args->gh * args->gw > INT32_MAX) return no("gh*gw is below 2^31");
  if (args->gh * args->cell < height || args->gw * args->cell < width)
    return no("gh*cell and gw*cell must cover the canvas");
  if (args->levels < 1 || args->levels > 8) return no("levels is 1 to 8");
  if (args->sub_cycles < 1 || args->sub_cycles > 8) return no("sub_cycles is 1 to 8");
  if (args->knots < 2 || !(args->stride > 0)) return no("knots is at least 2, stride above 0");
  for (int i = 0; i < args->levels; ++i) {
    const stylecine_level &level = args->level[i];
    const int64_t scale = int64_t(1) << i;
    if (!level.spline)
      return no("an array other than swell, generated, stagger, standing, light and recolouring is NULL");
    if (level.scale != scale || level.h != (height + scale - 1) / scale || level.w != (width + scale - 1) / scale)
      return no("level i has scale 2^i and the canvas's size over that, rounded up");
    if (level.dtype < STYLECINE_FLOAT32 || level.dtype > STYLECINE_BFLOAT16) return no("no such dtype");
    if (4 * level.h * level.w > INT32_MAX) return no("the canvas is too large");
    if (!(level.standing >= 0 && level.standing <= 1)) return no("a level's share in what stands is in [0,1]");
  }
  if (args->clocks < 0 || args->clocks > 4) return no("clocks is 0 to 4");
  if ((args->stagger && !args->shift) || (args->clocks && (!args->swell || !args->swell_weights)))
    return no("an array other than swell, generated, stagger, standing, light and recolouring is NULL");
  for (int i = 0; i < args->sub_cycles; ++i)
    if (!(args->length[i] > 0 && args->length[i] <= (args->knots - 1) * args->stride * 1.0001f))
      return no("a sub-cycle's length is above 0 and at most (knots-1)*stride");
  if (args->frames < 1 || args->frames > 65536) return no("frames is 1 to 65536");
  for (int64_t i = 0; i < args->frames * args->sub_cycles; ++i) {
    if (!(args->phase[i] >= 0 && args->phase[i] <= 1)) return no("phases are in [0,1]");
    if (args->stagger && !(args->shift[i] >= 0 && args->shift[i] <= 1)) return no("shifts are in [0,1]");
  }
  const stylecine_recolour_args *recolouring = args->recolouring;
  if (!recolouring) return STYLECINE_OK;
  if (recolouring->frame != args->out || recolouring->out != args->out || recolouring->frames != args->frames ||
      recolouring->height != args->height || recolouring->width != args->width)
    return no("recolouring changes the frames in out");
  return check(recolouring, message);
}

namespace STYLECINE_SET {

constexpr int kMaxLevels = 8, kMaxSubCycles = 8, kMaxClocks = 4, kPhases = 3;
constexpr float kLinearBelow = 0.015f;  // radians: copies at a smaller angle are mixed linearly

// Cubic Hermite interpolation between two knots, in pixels of the canvas.
struct Moment {
  int32_t knot;
  float start, end, start_rate, end_rate;
};

STYLECINE_INLINE Moment moment(float age, float stride, int knots, float cell) {
  const float place = age / stride;
  const int32_t knot = int32_t(clamp(place, 0, float(knots - 2)));
  const float u = place - float(knot), end = u * u * (3 - 2 * u);
  return {knot, (1 - end) * cell, end * cell, u * (1 - u) * (1 - u) * stride * cell, u * u * (u - 1) * stride * cell};
}

STYLECINE_INLINE float displaced(const Moment &m, const float *positions, const float *rates, int64_t step) {
  const int64_t first = m.knot * step, second = first + step;
  return (m.start * positions[first] + m.end * positions[second]) +
         (m.start_rate * rates[first] + m.end_rate * rates[second]);
}

// The phase of a place's sub-cycle. Where it is that of the next or of the previous sub-cycle, copy A and copy B swap
// names: copy B of one is copy A of the next, and each name has to mean the same copy in neighbouring places, as fields
// are interpolated between them.
struct Phase {
  float phase;
  int32_t swapped;  // 0 or 1
};

STYLECINE_INLINE Phase phase_of(float phase, float shift, float stagger) {
  const float here = phase + shift * stagger;
  const int after = here > 1, before = here < 0;
  return {here - float(after - before), after | before};
}

STYLECINE_INLINE float hat(float knot, float phase) {
  const float distance = phase < knot ? knot - phase : phase - knot, height = 1 - distance * 4;
  return height > 0 ? height : 0;
}

// At a phase, the weights of values known at phase 1/4, 1/2 or 3/4 (knot 0, 1 or 2): of the angle, A's and B's gain.
struct Hats {
  float angle, gain_a, gain_b;
};

STYLECINE_INLINE Hats hats(int knot, float phase) {
  const float known = 0.25f * (knot + 1), first = phase > 0.25f ? phase : 0.25f, last = phase < 0.75f ? phase : 0.75f;
  return {hat(known, clamp(phase, 0.25f, 0.75f)), hat(known, last), hat(known, first)};
}

// Sine of x in [0,pi], to 4e-7.
STYLECINE_INLINE float sine(float x) {
  const float pi = 3.14159265f;
  x = x < pi - x ? x : pi - x;
  const float y = x * x;
  return x * (1 + y * (-1.66666547e-1f + y * (8.33217968e-3f + y * (-1.95125553e-4f + y * 2.60052530e-6f))));
}

// What one clock of the swell displaces both copies by; `weights` are those of its two parts.
STYLECINE_INLINE float swell_offset(const float *weights, const float *swell, int64_t step) {
  return weights[0] * swell[0] + weights[1] * swell[step];
}

// Copy B's share at a place.
STYLECINE_INLINE float copy_b_share(float phase, const float *crossfade, int64_t step) {
  return clamp((phase - crossfade[0]) * crossfade[step], 0, 1);
}

// Weights of both copies in a level: on their arc (slerp, Shoemake 1985), or linear where the angle is small; times
// each copy's contrast gain, of which 1 is subtracted.
STYLECINE_INLINE void mixing(float theta, float gain_a, float gain_b, float share, float &a, float &b) {
  const bool arc = theta > kLinearBelow;
  const float scale = arc ? 1 / sine(theta) : 1;
  a = (arc ? sine((1 - share) * theta) : 1 - share) * scale * (1 + gain_a);
  b = (arc ? sine(share * theta) : share) * scale * (1 + gain_b);
}

// How much of the displacement of its copies a level has at a place.
STYLECINE_INLINE float running(float share, float standing) { return 1 - share * clamp(standing, 0, 1); }

STYLECINE_INLINE bool stands(const stylecine_render_args &args, const stylecine_level &level) {
  return args.standing && level.standing > 0;
}

// Fields of a level: x and y of both sources in canvas pixels and both weights, as planes of the workspace.
struct Fields : Grid {
  int64_t filled[6];  // where they begin on the grid of all fields
  int64_t plane[6];   // and on the level's own
};

// The workspace of a frame: on the grid, four planes of sources, which levels share unless a part of them stands, and
// two of weights for each level; for levels whose pixels are larger than a cell, all six again, averaged over these
// pixels.
struct Plan {
  Fields fields[kMaxLevels];
  int64_t floats;
};

// level: args.level, or a copy of it.
STYLECINE_INLINE Plan plan(const stylecine_render_args &args, const stylecine_level *level) {
  Plan layout;
  const int64_t points = args.gh * args.gw;
  layout.floats = (4 + 2 * int64_t(args.levels)) * points;
  for (int i = 0; i < args.levels; ++i) {
    Fields &fields = layout.fields[i];
    const bool own = stands(args, level[i]);
    for (int k = 0; k < 4; ++k) fields.filled[k] = own ? layout.floats + k * points : k * points;
    for (int k = 4; k < 6; ++k) fields.filled[k] = (2 * i + k) * points;
    if (own) layout.floats += 4 * points;
    const int64_t wide = (int64_t(1) << i) / args.cell;  // cells in a pixel
    if (wide > 1) {
      fields.rows = (args.gh + wide - 1) / wide, fields.columns = (args.gw + wide - 1) / wide, fields.ratio = 1;
      for (int k = 0; k < 6; ++k) fields.plane[k] = layout.floats + k * fields.rows * fields.columns;
      layout.floats += 6 * fields.rows * fields.columns;
    } else {
      fields.rows = args.gh, fields.columns = args.gw, fields.ratio = args.cell >> i;
      for (int k = 0; k < 6; ++k) fields.plane[k] = fields.filled[k];
    }
  }
  return layout;
}

// Pixels of a level: first and one past the last.
struct Range {
  int y0, y1, x0, x1;
};

// The range of a level that pixels of the canvas need. Upsampling to y0 .. y1 reads floor((y0 - 1) / 2) .. floor(y1 /
// 2) of the next coarser level; this is that, `level` times.
STYLECINE_INLINE Range range_of(const Range &canvas, int level) {
  const int first = 1 - (1 << level), last = -2 * first;
  return {(canvas.y0 + first) >> level, (canvas.y1 + last) >> level, (canvas.x0 + first) >> level,
          (canvas.x1 + last) >> level};
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
