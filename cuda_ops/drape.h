// drape: cloth over a frame, moved and shaded anew. The arithmetic of one pixel.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

constexpr int64_t kDrapeTile = STYLECINE_DRAPE_TILE;

static inline int check(const stylecine_drape_args *args, char *message) {
  if (!args) return fail(message, STYLECINE_INVALID, "args is NULL");
  if (!args->photo || !args->background || !args->matte || !args->field || !args->active || !args->frame)
    return fail(message, STYLECINE_INVALID, "photo, background, matte, field, active or frame is NULL");
  if (args->height < 1 || args->width < 1 || args->height > 1 << 22 || args->width > 1 << 22)
    return fail(message, STYLECINE_INVALID, "height and width have to be from 1 to 2^22");
  if (args->cell < 1 || args->cell > 1 << 12 || (args->cell & (args->cell - 1)))
    return fail(message, STYLECINE_INVALID, "cell has to be a power of two, 4096 at most");
  if (args->gh < 1 || args->gw < 1 || args->gh > 1 << 22 || args->gw > 1 << 22 ||
      args->gh * args->cell < args->height || args->gw * args->cell < args->width)
    return fail(message, STYLECINE_INVALID, "the field's grid does not cover the frame");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// Between which two of a field's coefficients a pixel lies, and how far past the first of the two.
struct Between {
  int64_t second;  // of the four that count
  float f;
};

STYLECINE_INLINE Between between_coefficients(int64_t pixel, int64_t cell) {
  const int64_t place = 2 * pixel + 1 - cell;  // past the first coefficient, in halves of a pixel
  const int64_t whole = place >= 0 ? place / (2 * cell) : -1;
  return {whole, float(place - whole * 2 * cell) / float(2 * cell)};
}

// The four coefficients of a row or column around a pixel, and their weights in the cubic B-spline, which has no
// creases: a bilinear gain would show its grid in the shading.
struct Around {
  int64_t at[4];
  float weight[4];
};

STYLECINE_INLINE Around around(int64_t pixel, int64_t cell, int64_t points) {
  const Between place = between_coefficients(pixel, cell);
  Around made;
  for (int i = 0; i < 4; ++i) made.at[i] = at_least(0, at_most(place.second + i - 1, points - 1));
  cubic(place.f, made.weight[0], made.weight[1], made.weight[2], made.weight[3]);
  return made;
}

// Where a pixel of one axis is read: the pixel at or before that place, and how far past it.
STYLECINE_INLINE void read_at(float place, int64_t size, int32_t &pixel, float &f) {
  place = between(place, -4, float(size) + 4);
  pixel = floor_of(place);
  f = place - float(pixel);
}

// Catmull-Rom's weights of four pixels, f past the second; exactly 0, 1, 0, 0 for f = 0.
STYLECINE_INLINE void catmull_rom(float f, float *weight) {
  weight[0] = ((2 - f) * f - 1) * f * 0.5f;
  weight[1] = ((3 * f - 5) * f * f + 2) * 0.5f;
  weight[2] = ((4 - 3 * f) * f + 1) * f * 0.5f;
  weight[3] = (f - 1) * f * f * 0.5f;
}

// What a gain of linear light, given as its binary logarithm, is for values of gamma 2.2; exactly 1 for 0.
STYLECINE_INLINE float gamma_gain(float log2_gain) {
  const float x = between(log2_gain, -1, 1) * (0.69314718f / 2.2f);
  return 1 + x * (1 + x * (1 / 2.f + x * (1 / 6.f + x * (1 / 24.f + x * (1 / 120.f + x / 720)))));
}

// How much of the correction to the photo's own bytes is left where the cloth has moved by (dx, dy).
STYLECINE_INLINE float unmoved(float dx, float dy) {
  const float left = between(1 - (dx * dx + dy * dy), 0, 1);
  return left * left;
}

// The matte at a place, in [0,1]: bilinear, the border's past it.
STYLECINE_INLINE float matte_at(const uint8_t *matte, int64_t height, int64_t width, int32_t row, float down,
                                int32_t column, float across) {
  const int64_t top = at_least(0, at_most(row, height - 1)) * width;
  const int64_t bottom = at_least(0, at_most(row + 1, height - 1)) * width;
  const int64_t left = at_least(0, at_most(column, width - 1)), right = at_least(0, at_most(column + 1, width - 1));
  const float above = float(matte[top + left]) + (float(matte[top + right]) - float(matte[top + left])) * across;
  const float below =
      float(matte[bottom + left]) + (float(matte[bottom + right]) - float(matte[bottom + left])) * across;
  return (above + (below - above) * down) * (1 / 255.f);
}

// What the four parts of a pixel's colour count. The cloth that has come to it, over what is behind: the frame where
// the photo shows no cloth, the background where it does. As photo - (photo over background) is added where nothing has
// moved, soft borders of the matte show the photo's own bytes there.
struct Shares {
  float shown, photo, background, frame;
};

STYLECINE_INLINE Shares shares(float now, float before, float gain, float still) {
  const float behind = 1 - now, lacking = still * (1 - before);
  return {now * gain, lacking - behind, behind - lacking, behind};
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
