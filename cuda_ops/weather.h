// weather: rain, snow and fog over a frame. The arithmetic of one pixel.
#pragma once

#include "cpu.h"
#include "shared.h"

namespace stylecine {

static inline int check(const stylecine_weather_args *args, char *message) {
  const auto no = [message](const char *why) { return fail(message, STYLECINE_INVALID, why); };
  if (!args) return no("args is NULL");
  if (!args->frame || !args->first || !args->veil || !args->distance || !args->streak_colours || !args->veil_colours ||
      !args->out)
    return no("frame, first, veil, distance, streak_colours, veil_colours or out is NULL");
  if (args->height < 1 || args->width < 1 || args->height > 1 << 22 || args->width > 1 << 22)
    return no("height and width are 1 to 2^22");
  if (args->height * args->width > INT32_MAX) return no("height*width is below 2^31");
  if (args->gh < 1 || args->gw < 1 || args->gh > 4096 || args->gw > 4096) return no("gh and gw are 1 to 4096");
  if (args->frames < 1 || args->frames > 65536) return no("frames is 1 to 65536");
  if (args->first[0] != 0) return no("the first frame's streaks begin at 0");
  for (int64_t i = 0; i < args->frames; ++i)
    if (args->first[i + 1] < args->first[i] || args->first[i + 1] - args->first[i] > 1 << 20)
      return no("a frame has 0 to 2^20 streaks");
  if (args->first[args->frames] && !args->streaks) return no("streaks is NULL");
  return STYLECINE_OK;
}

namespace STYLECINE_SET {

// The share that a streak hides of a pixel, or of some in a row, so far across and down from the streak's start.
template <class Number>
STYLECINE_INLINE Number hidden(const stylecine_streak &streak, Number across, float down) {
  const Number along = clamp(across * (streak.dx * streak.inverse) + down * (streak.dy * streak.inverse), 0, 1);
  const Number right = across + along * -streak.dx, below = along * -streak.dy + down;
  const Number inside = clamp((right * right + below * below) * -streak.shrink + 1, 0, 1);
  return inside * inside * streak.opacity;
}

// Pixels of a line from `from` on, before `to`, all that a streak which begins at `start` may reach.
struct Reach {
  float from, to;
};
STYLECINE_INLINE Reach reach(float start, float way, float radius) {
  return {start + (way < 0 ? way : 0) - radius, start + (way > 0 ? way : 0) + radius};
}
STYLECINE_INLINE bool meets(const Reach &reach, float first, float last) {
  return (reach.from <= last) & (reach.to >= first);
}

// Weights of the frame, the veil's colour and the streaks' colour in a pixel.
struct Mix {
  float frame, veil, streaks;
};
STYLECINE_INLINE Mix mix(float through, float fog) { return {through - through * fog, through * fog, 1 - through}; }

STYLECINE_INLINE float blend(float first, float second, float f) { return first + (second - first) * f; }

STYLECINE_INLINE float fog_of(float veil, uint8_t distance) {
  return clamp(veil, 0, 1) * (float(distance) * (1 / 255.f));
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
