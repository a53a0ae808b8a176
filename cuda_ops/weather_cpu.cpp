// weather on the CPU: tiles of rows, so that each of them goes through all streaks only once.
#include "weather.h"

#include "noise.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t ROWS = 64;     // of a tile
constexpr int64_t PART = 1024;   // pixels of a row, at most, in a tile: a bit of a word for each group
constexpr int64_t GROUP = 16;    // pixels, in a vector
constexpr int64_t CHUNK = 1024;  // streaks

alignas(64) constexpr float kLanes[GROUP] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
constexpr Noise<GROUP> kNoise;

struct Tile {
  int64_t frame, top, left, rows, columns;
};

// A whole number from a float, held to [low,high]; NaN is low.
int32_t held(float x, int64_t low, int64_t high) { return int32_t(clamp(x, float(low), float(high))); }

// How much of the frame is seen through the streaks, at the pixels of a tile, and a bit for each group of a row that
// has any; nothing else is read.
struct Through {
  alignas(64) float at[ROWS][PART + GROUP];
  uint64_t streaks[ROWS];
};

// Draws a streak that meets the rows of a tile: in each of them within a bar as wide as the streak.
void draw_streak(const stylecine_streak &streak, const Tile &tile, Through &through) {
  const float x = streak.x - float(tile.left), y = streak.y - float(tile.top);
  const Reach across = reach(x, streak.dx, streak.radius), down = reach(y, streak.dy, streak.radius);
  const float left = across.from > 0 ? across.from : 0, most = float(tile.columns - 1);
  const float right = across.to < most ? across.to : most;
  const bool steep = streak.dy > 0.25f || streak.dy < -0.25f;
  const float slope = steep ? streak.dx / streak.dy : 0, leaning = slope < 0 ? -slope : slope;
  const float half = steep ? streak.radius * (1 + leaning) : across.to - across.from;
  const int32_t begin = held(down.from, 0, tile.rows), end = held(down.to + 1, 0, tile.rows);
  for (int32_t i = begin; i < end; ++i) {
    const float below = float(i) - y, middle = x + below * slope;
    const float from = middle - half > left ? middle - half : left, to = middle + half < right ? middle + half : right;
    if (!(from <= to)) continue;
    const int32_t first = int32_t(from), last = int32_t(to);
    float *const row = through.at[i];
    for (int32_t k = first; k <= last; k += GROUP) {
      const Vector hides = hidden(streak, load(kLanes) + (float(k) - x), below);
      save(row + k, load(row + k) * (all(1) - hides));
    }
    through.streaks[i] |= (uint64_t(2) << (last >> 4)) - (uint64_t(1) << (first >> 4));
  }
}

void draw_streaks(const stylecine_weather_args &args, const Tile &tile, Through &through) {
  memset(through.streaks, 0, sizeof through.streaks);
  const int64_t end = args.first[tile.frame + 1];
  if (args.first[tile.frame] == end) return;
  for (int64_t y = 0; y < tile.rows; ++y)
    for (int64_t x = 0; x < PART + GROUP; ++x) through.at[y][x] = 1;
  const float top = float(tile.top), bottom = float(tile.top + tile.rows - 1);
  int32_t met[CHUNK];
  for (int64_t begin = args.first[tile.frame]; begin < end; begin += CHUNK) {
    const stylecine_streak *const streaks = args.streaks + begin;
    const int32_t n = int32_t(min_of(CHUNK, end - begin));
    int32_t count = 0;
    for (int32_t i = 0; i < n; ++i) {
      met[count] = i;
      count += meets(reach(streaks[i].y, streaks[i].dy, streaks[i].radius), top, bottom);
    }
    for (int32_t i = 0; i < count; ++i) draw_streak(streaks[met[i]], tile, through);
  }
}

// The opacity of fog at a distance of 1, at the pixels of a tile's row: upper + f * growth, f of the way from a row of
// the veil to the next.
struct Veil {
  int64_t row = -1;
  alignas(64) float upper[PART + GROUP], growth[PART + GROUP];
};

// Goes from cell to cell, as the veil is linear from the middle of one to that of the next.
void read_veil(const stylecine_weather_args &args, const Tile &tile, const Between &down, Veil &veil) {
  const float *const above = args.veil + (tile.frame * args.gh + down.first) * args.gw;
  const float *const below = args.veil + (tile.frame * args.gh + down.second) * args.gw;
  const float cells = float(args.gw) / float(args.width), pixels = float(args.width) / float(args.gw);
  const int64_t last = across(tile.left + tile.columns - 1, args.width, args.gw).first;
  int64_t x = 0;
  for (int64_t cell = across(tile.left, args.width, args.gw).first; cell <= last; ++cell) {
    const int64_t next = min_of(cell + 1, args.gw - 1);
    const int64_t end =
        cell < last ? held((float(next) + 0.5f) * pixels + 0.5f - float(tile.left), x, tile.columns) : tile.columns;
    const float left = above[cell], left_growth = below[cell] - left;
    const float slope = above[next] - left, slope_growth = below[next] - above[next] - left_growth;
    for (; x < end; x += GROUP) {
      const Vector f = clamp((load(kLanes) + (float(tile.left + x) + 0.5f)) * cells + (-0.5f - float(cell)), 0, 1);
      save(veil.upper + x, fma(f, all(slope), all(left)));
      save(veil.growth + x, fma(f, all(slope_growth), all(left_growth)));
    }
    x = end;
  }
  veil.row = down.first;
}

struct Colours {
  alignas(64) float veil[3 * GROUP], streaks_to_veil[3 * GROUP];
  alignas(64) float dithered_veil[3 * (256 + GROUP)], dithered_streaks[3 * (256 + GROUP)];
};

void read_colours(const float *veil, const float *streaks, Colours &colours) {
  for (int64_t c = 0; c < 3; ++c) {
    const float fog = clamp(veil[c], 0, 255), streak = clamp(streaks[c], 0, 255);
    for (int64_t i = c; i < 3 * GROUP; i += 3) colours.veil[i] = fog, colours.streaks_to_veil[i] = fog - streak;
    for (int64_t i = c; i < 3 * (256 + GROUP); i += 3)
      colours.dithered_veil[i] = fog + kNoise.byte[i], colours.dithered_streaks[i] = streak + kNoise.byte[i];
  }
}

// Sixteen pixels, of which `clear` is the share that fog leaves. through: of the streaks, or NULL. noise: where their
// dither is in its table.
STYLECINE_INLINE void draw_group(const uint8_t *in, uint8_t *out, Vector clear, const float *through, int64_t noise,
                                 const Colours &colours) {
  Vector frame[3], veil[3];
  if (through) {
    const Vector seen = clamp(load(through), 0, 1);
    thrice(seen, veil);
    clear = clear * seen;
  }
  thrice(clear, frame);
  for (int64_t k = 0; k < 3; ++k) {
    const int64_t i = GROUP * k, j = 3 * noise + i;
    const Vector behind = through ? fma(veil[k], load(colours.streaks_to_veil + i), load(colours.dithered_streaks + j))
                                  : load(colours.dithered_veil + j);
    save_bytes(out + i, fma(load_bytes(in + i) - load(colours.veil + i), frame[k], behind));
  }
}

void draw_row(const stylecine_weather_args &args, const Tile &tile, int64_t y, const Through &through, Veil &veil,
              const Colours &colours) {
  const Between down = across(tile.top + y, args.height, args.gh);
  if (down.first != veil.row) read_veil(args, tile, down, veil);
  const int64_t pixel = (tile.top + y) * args.width + tile.left, n = tile.columns;
  const int64_t begin = 3 * (tile.frame * args.height * args.width + pixel);
  const uint8_t *const in = args.frame + begin, *const distance = args.distance + pixel;
  uint8_t *const out = args.out + begin;
  const int64_t noise = kNoise.start(tile.top + y, tile.left);
  const uint64_t streaks = through.streaks[y];
  const auto group = [&](int64_t x, const uint8_t *far, const uint8_t *from, uint8_t *to) {
    const Vector opacity = clamp(fma(load(veil.growth + x), all(down.f), load(veil.upper + x)), 0, 1) * (-1 / 255.f);
    const Vector clear = fma(load_bytes(far), opacity, all(1));
    const int64_t noisy = (noise + x) & 255;
    if (streaks >> x / GROUP & 1) draw_group(from, to, clear, through.at[y] + x, noisy, colours);
    else draw_group(from, to, clear, nullptr, noisy, colours);
  };
  int64_t x = 0;
  for (; x + GROUP <= n; x += GROUP) group(x, distance + x, in + 3 * x, out + 3 * x);
  if (x == n) return;
  uint8_t far[GROUP] = {}, last[3 * GROUP] = {};  // copies, as nothing may be read or written past the end
  memcpy(far, distance + x, size_t(n - x)), memcpy(last, in + 3 * x, 3 * size_t(n - x));
  group(x, far, last, last);
  memcpy(out + 3 * x, last, 3 * size_t(n - x));
}

void draw_tile(const stylecine_weather_args &args, const Tile &tile) {
  Through through;
  draw_streaks(args, tile, through);
  Veil veil;
  Colours colours;
  read_colours(args.veil_colours + 3 * tile.frame, args.streak_colours + 3 * tile.frame, colours);
  for (int64_t y = 0; y < tile.rows; ++y) draw_row(args, tile, y, through, veil, colours);
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
