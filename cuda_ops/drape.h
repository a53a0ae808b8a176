// drape: cloth over a frame, displaced and reshaded. The arithmetic of one pixel.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

constexpr int64_t kDrapeTile = STYLECINE_DRAPE_TILE;
constexpr int64_t kDrapePoints = kDrapeTile + 4;  // of the field on one axis that a tile needs, at most
constexpr int64_t kDrapeKeys = 64;                // at most

static inline int64_t drape_tiles(const stylecine_drape_args &args) {
  return (args.height + kDrapeTile - 1) / kDrapeTile * ((args.width + kDrapeTile - 1) / kDrapeTile);
}

static inline int check(const stylecine_drape_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->photo || !args->background || !args->matte || !args->keyframes || !args->weights || !args->active ||
      !args->frame)
    return no("photo, background, matte, keyframes, weights, active or frame is NULL");
  if (args->height < 1 || args->width < 1 || args->height > 1 << 22 || args->width > 1 << 22)
    return no("height and width are 1 to 2^22");
  if (args->height * args->width > INT32_MAX) return no("height*width is below 2^31");
  if (args->keys < 1 || args->keys > kDrapeKeys) return no("keys is 1 to 64");
  if (args->frames < 1 || args->frames > INT32_MAX / drape_tiles(*args))
    return no("frames is 1 to 2^31 over the tiles");
  if (args->cell < 1 || args->cell > 1 << 12 || (args->cell & (args->cell - 1)))
    return no("cell is a power of two, at most 4096");
  if (args->gh < 1 || args->gw < 1 || args->gh > 1 << 22 || args->gw > 1 << 22 ||
      args->gh * args->cell < args->height || args->gw * args->cell < args->width)
    return no("the field's grid does not cover the frame");
  if (args->fine != 0 && args->fine != 1) return no("fine is 0 or 1");
  if (args->gh * args->gw > INT32_MAX) return no("gh*gw is below 2^31");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// A pixel's position among a field's coefficients: the last one before it, and the fraction past that. The field is
// their cubic B-spline, which is smooth: a bilinear gain would show its grid in the shading.
struct Position {
  int32_t second;  // of the four that have weight there
  float f;
};

STYLECINE_INLINE Position position_of(int32_t pixel, int32_t cell) {
  const int log2 = log2_of(2 * cell);
  const int32_t place = 2 * pixel + 1 - cell;  // past the first coefficient, in halves of a pixel
  const int32_t whole = place >> log2;         // -1: the first pixels lie up to half a cell before it
  return {whole, float(place - whole * (1 << log2)) * inverse_power(log2)};
}

// The first of the coefficients that a pixel needs, before they are held to the grid; and how many there are from one
// of them to the last that a pixel needs.
STYLECINE_INLINE int32_t first_point(int32_t pixel, int32_t cell) { return position_of(pixel, cell).second - 1; }
STYLECINE_INLINE int32_t points_to(int32_t pixel, int32_t cell, int32_t first) {
  return position_of(pixel, cell).second + 3 - first;
}

// Splits a position on one axis into the pixel at or before it and the fraction past that.
STYLECINE_INLINE void read_at(float place, int32_t size, int32_t &pixel, float &f) {
  place = clamp(place, -4, float(size) + 4);
  pixel = floor_of(place);
  f = place - float(pixel);
}

// Weights of four pixels at f past the second, of the cardinal spline with that slope: 0.5 is Catmull-Rom's, 0.75 blurs
// less. Exactly 0, 1, 0, 0 for f = 0.
template <class T>
STYLECINE_INLINE void cardinal(T f, float slope, T *weight) {
  const T rise = slope * f, bend = f * rise, outer = bend - rise;
  weight[3] = f * bend - bend;
  weight[0] = outer - weight[3];
  weight[2] = ((3 - 2 * slope - (2 - slope) * f) * f + slope) * f;
  weight[1] = 1.0f - weight[2] - outer;
}

STYLECINE_INLINE float slope_of(const stylecine_drape_args &args) { return args.fine ? 0.75f : 0.5f; }

// A gain of linear light, as a binary logarithm, converted to values of gamma 2.2; exactly 1 for 0.
STYLECINE_INLINE float gamma_gain(float log2_gain) {
  const float x = clamp(log2_gain, -1, 1) * (0.69314718f / 2.2f);
  return 1 + x * (1 + x * (1 / 2.f + x * (1 / 6.f + x * (1 / 24.f + x * (1 / 120.f + x / 720)))));
}

// The weight of the correction to the photo's own bytes where the cloth is displaced by (dx, dy).
template <class T>
STYLECINE_INLINE T unmoved(T dx, T dy) {
  const T none = {}, distant = 1.0f - (dx * dx + dy * dy), closeness = distant > none ? distant : none;
  return closeness * closeness;
}

// The matte at a position, in [0,1]: bilinear, border replicated.
STYLECINE_INLINE float matte_at(const uint8_t *matte, int32_t height, int32_t width, int32_t row, float down,
                                int32_t column, float across) {
  const int32_t top = inside(row, height) * width, bottom = inside(row + 1, height) * width;
  const int32_t left = inside(column, width), right = inside(column + 1, width);
  const float above = float(matte[top + left]) + (float(matte[top + right]) - float(matte[top + left])) * across;
  const float below =
      float(matte[bottom + left]) + (float(matte[bottom + right]) - float(matte[bottom + left])) * across;
  return (above + (below - above) * down) * (1 / 255.f);
}

// Weights of the four terms of a pixel's colour: the displaced cloth over the frame, to which background - photo is
// added. Where nothing has moved, photo - (photo over background) is added, so that soft borders of the matte show
// the photo's own bytes.
template <class T>
struct Shares {
  T cloth, photo, background, frame;
};

template <class T>
STYLECINE_INLINE Shares<T> shares(T now, T before, T gain, T at_rest) {
  const T behind = 1.0f - now, correction = at_rest * (1.0f - before);
  return {now * gain, correction - behind, behind - correction, behind};
}

// The photo's colour at a place.
STYLECINE_INLINE void show(const uint8_t *photo, int height, int width, int32_t row, float down, int32_t column,
                           float across, float slope, float *out) {
  float rows[4], columns[4];
  cardinal(down, slope, rows);
  cardinal(across, slope, columns);
  for (int j = 0; j < 4; ++j) {
    const int y = inside(row + j - 1, height) * width;
    for (int i = 0; i < 4; ++i) {
      const uint8_t *const pixel = photo + int64_t(y + inside(column + i - 1, width)) * 3;
      const float weight = rows[j] * columns[i];
      for (int c = 0; c < 3; ++c) out[c] += weight * float(pixel[c]);
    }
  }
}

// The pixel at (x,y) of a frame, which is displaced by (dx, dy).
STYLECINE_INLINE void draw(const stylecine_drape_args &args, uint8_t *__restrict__ frame, int y, int x, float dx,
                           float dy, float gain) {
  const int height = int(args.height), width = int(args.width);
  const uint8_t *const __restrict__ photo = args.photo, *const __restrict__ background = args.background;
  const uint8_t *const __restrict__ matte = args.matte;
  const int64_t at = y * args.width + x;
  int32_t row, column;
  float below, right;
  read_at(float(x) + dx, width, column, right);
  read_at(float(y) + dy, height, row, below);
  const float before = float(matte[at]) * (1 / 255.f);
  const float now = matte_at(matte, height, width, row, below, column, right);
  const uint8_t *const here = photo + 3 * at, *const behind = background + 3 * at;
  if (!(now + before > 0) && here[0] == behind[0] && here[1] == behind[1] && here[2] == behind[2]) return;
  const Shares<float> part = shares(now, before, gain, unmoved(dx, dy));
  float shown[3] = {0, 0, 0};
  if (now > 0) show(photo, height, width, row, below, column, right, slope_of(args), shown);
  const float noise = args.fine ? dither(y, x) : 0.5f;
  for (int c = 0; c < 3; ++c) {
    uint8_t *const out = frame + 3 * at + c;
    const float sum = noise + part.cloth * shown[c] + part.photo * float(here[c]) + part.background * float(behind[c]) +
                      part.frame * float(*out);
    *out = uint8_t(clamp(sum, 0, 255.5f));
  }
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
