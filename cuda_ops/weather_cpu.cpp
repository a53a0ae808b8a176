// weather on the CPU: tiles of rows, so that each of them goes through all streaks only once.
#include "weather.h"

#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t ROWS = 32;   // of a tile
constexpr int64_t PART = 768;  // pixels of a row, at most, in a tile

struct Tile {
  int64_t frame, top, left, rows, columns;
};

// How much of the frame is seen through the streaks, at the pixels of a tile.
struct Through {
  alignas(64) float at[ROWS][PART];
};

// A whole number from a float, held to [low,high]; NaN is low.
int64_t held(float x, int64_t low, int64_t high) { return int64_t(clamp(x, float(low), float(high))); }

// The part of a tile's row, counted from its left, that a streak may reach: within a bar as wide as the streak.
void draw_row(const stylecine_streak &streak, const Reach &across, const Tile &tile, int64_t y, float *row) {
  float from = across.from, to = across.to;
  const float down = float(y) - streak.y;
  if (streak.dy > 0.25f || streak.dy < -0.25f) {
    const float slope = streak.dx / streak.dy, middle = streak.x + down * slope;
    const float half = streak.radius * (1 + (slope < 0 ? -slope : slope)) + 1;
    from = middle - half > from ? middle - half : from, to = middle + half < to ? middle + half : to;
  }
  const int64_t begin = held(from - float(tile.left), 0, tile.columns),
                end = held(to - float(tile.left) + 2, 0, tile.columns);
  for (int64_t x = begin; x < end; ++x) row[x] *= 1 - hidden(streak, float(tile.left + x), float(y));
}

void draw_streaks(const stylecine_weather_args &args, const Tile &tile, Through &through) {
  for (int64_t y = 0; y < tile.rows; ++y)
    for (int64_t x = 0; x < tile.columns; ++x) through.at[y][x] = 1;
  const float top = float(tile.top), bottom = float(tile.top + tile.rows - 1);
  const float left = float(tile.left), right = float(tile.left + tile.columns - 1);
  for (int64_t i = args.first[tile.frame]; i < args.first[tile.frame + 1]; ++i) {
    const stylecine_streak &streak = args.streaks[i];
    const Reach down = reach(streak.y, streak.dy, streak.radius);
    if (!meets(down, top, bottom)) continue;
    const Reach across = reach(streak.x, streak.dx, streak.radius);
    if (!meets(across, left, right)) continue;
    const int64_t begin = held(down.from - top, 0, tile.rows), end = held(down.to - top + 2, 0, tile.rows);
    for (int64_t y = begin; y < end; ++y) draw_row(streak, across, tile, tile.top + y, through.at[y]);
  }
}

// Where the pixels of a tile lie among the columns of the veil.
struct Columns {
  alignas(64) float f[PART];
  int32_t first[PART], second[PART];
};

struct Colours {
  alignas(64) float veil[16], streaks[16];
};

void repeat(const float *colour, float *sixteen) {
  for (int i = 0; i < 16; ++i) sixteen[i] = i % 4 < 3 ? colour[i % 4] : 0;
}

// One row of a tile: the weights of all its pixels, then their colours, four at a time.
void draw(const stylecine_weather_args &args, const Tile &tile, int64_t y, const float *through, const Columns &columns,
          const float *veil, const Colours &colours) {
  alignas(64) float frame[PART + 4], fog[PART + 4], streaks[PART + 4], noise[PART + 4];
  const int64_t pixel = y * args.width + tile.left, n = tile.columns;
  const uint8_t *const distance = args.distance + pixel;
  for (int64_t x = 0; x < n; ++x) {
    const float opacity = blend(veil[columns.first[x]], veil[columns.second[x]], columns.f[x]);
    const Mix share = mix(through[x], fog_of(opacity, distance[x]));
    frame[x] = share.frame, fog[x] = share.veil, streaks[x] = share.streaks;
    noise[x] = dither(y, tile.left + x);
  }
  const int64_t begin = 3 * (tile.frame * args.height * args.width + pixel);
  const uint8_t *const in = args.frame + begin;
  uint8_t *const out = args.out + begin;
  const Vector veil_colour = load(colours.veil), streak_colour = load(colours.streaks);
  const auto four = [&](int64_t x, const uint8_t *from, uint8_t *to) {
    Vector sum = load_rgb(from) * spread(frame + x);
    sum = fma(veil_colour, spread(fog + x), sum);
    sum = fma(streak_colour, spread(streaks + x), sum);
    save_rgb(to, clamp(sum + spread(noise + x), 0, 255.5f));
  };
  int64_t x = 0;
  for (; x + 4 <= n; x += 4) {
    if (frame[x] == 1 && frame[x + 1] == 1 && frame[x + 2] == 1 && frame[x + 3] == 1) {
      if (in != out) memcpy(out + 3 * x, in + 3 * x, 12);
      continue;
    }
    four(x, in + 3 * x, out + 3 * x);
  }
  if (x == n) return;
  uint8_t last[12] = {};  // a copy, as nothing may be read or written past the end
  memcpy(last, in + 3 * x, 3 * size_t(n - x));
  for (int64_t i = n; i < x + 4; ++i) frame[i] = fog[i] = streaks[i] = noise[i] = 0;
  four(x, last, last);
  memcpy(out + 3 * x, last, 3 * size_t(n - x));
}

void draw_tile(const stylecine_weather_args &args, const Tile &tile) {
  Through through;
  draw_streaks(args, tile, through);
  Columns columns;
  for (int64_t x = 0; x < tile.columns; ++x) {
    const Between at = across(tile.left + x, args.width, args.gw);
    columns.f[x] = at.f, columns.first[x] = at.first, columns.second[x] = at.second;
  }
  Colours colours;
  repeat(args.veil_colours + 3 * tile.frame, colours.veil);
  repeat(args.streak_colours + 3 * tile.frame, colours.streaks);
  const float *const veil = args.veil + tile.frame * args.gh * args.gw;
  float line[4096];
  const int64_t first = columns.first[0], last = columns.second[tile.columns - 1];
  for (int64_t y = 0; y < tile.rows; ++y) {
    const Between down = across(tile.top + y, args.height, args.gh);
    for (int64_t x = first; x <= last; ++x)
      line[x] = blend(veil[down.first * args.gw + x], veil[down.second * args.gw + x], down.f);
    draw(args, tile, tile.top + y, through.at[y], columns, line, colours);
  }
}

}  // namespace

void weather(const stylecine_weather_args &args, stylecine_cpu *cpu) {
  const int64_t high = (args.height + ROWS - 1) / ROWS, wide = (args.width + PART - 1) / PART;
  const int64_t columns = (args.width + wide - 1) / wide;
  parallel(cpu, args.frames * high * wide, [&](int64_t i) {
    const int64_t left = i % wide * columns, top = i / wide % high * ROWS;
    draw_tile(args, {i / wide / high, top, left, min_of(ROWS, args.height - top), min_of(columns, args.width - left)});
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
