// drape on the CPU: tile by tile. Neighbouring pixels are read at neighbouring places, so a register full of them reads
// whole registers of the photo: one for each column and row of taps that any of them needs, with a weight of 0 for
// those that do not.
#include "drape.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t TILE = kDrapeTile;
constexpr int64_t POINTS = TILE + 4;  // of the field on one axis that a tile needs, at most
constexpr int64_t SPAN = TILE + 16;   // columns and rows of the photo, at most, that are at hand at once
constexpr int64_t kMore = SPAN - TILE - 3;  // by how much offsets in it may differ
constexpr int64_t kTaps = 4 + kMore;
constexpr int64_t BLOCK = 4;  // rows whose taps are planned at once
constexpr int64_t GROUP = 16;  // pixels that are blended at once
constexpr int kNone = 16;      // floats before a line, for pixels of a cell that begins left of the tile

// The field around a tile, at its columns of pixels and at its own rows of points.
struct Lines {
  alignas(64) float at[3][POINTS][kNone + TILE + GROUP];
  int64_t top;  // the first row, before they are held to the grid
  bool gain;    // whether it is not 1 everywhere
};

// By how much the places where pixels are read differ from their own.
struct Offsets {
  alignas(64) float x[TILE][TILE], y[TILE][TILE];
};

// The pixels of the photo around a tile's places, the border replicated; and the matte there.
struct Window {
  int64_t top, left, rows;
  uint8_t least;  // of the matte, or a bit less
  alignas(64) float colour[3][SPAN][SPAN], matte[SPAN][SPAN];
};

// A tile's pixels in the frame.
struct Tile {
  int64_t top, left, rows, columns;
};

// A line of the field: Step neighbouring pixels lie between the same points.
template <int Step>
void interpolate(const float *points, const int32_t *first, const float (*weight)[kNone + TILE + GROUP], int64_t from,
                 float *out) {
  for (int64_t x = from; x < kNone + TILE; x += Step) {
    float sum[Step] = {};
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < Step; ++i) sum[i] += weight[k][x + i] * points[first[x] + k];
    for (int i = 0; i < Step; ++i) out[x + i] = sum[i];
  }
}

// Whether any of n floats is not 0.
bool varies(const float *p, int64_t n) {
  int found = 0;
  for (int64_t i = 0; i < n; ++i) found |= p[i] != 0;
  return found;
}

void read_field(const stylecine_drape_args &args, const Tile &tile, Lines &lines) {
  alignas(64) float weight[4][kNone + TILE + GROUP];
  int32_t first[kNone + TILE + GROUP];
  const int64_t from = kNone - (args.cell == 4 ? 2 : 0);  // four pixels from there on are of the same cell
  const int64_t left = position_of(tile.left - (kNone - from), args.cell).second - 1;
  for (int64_t x = from; x < kNone + TILE + GROUP; ++x) {
    const Position at = position_of(tile.left + x - kNone, args.cell);
    first[x] = at.second - 1 - left;
    cubic(at.f, weight[0][x], weight[1][x], weight[2][x], weight[3][x]);
  }
  const int64_t points = first[kNone + TILE - 1] + 4;
  lines.top = position_of(tile.top, args.cell).second - 1;
  const int64_t rows = position_of(tile.top + TILE - 1, args.cell).second + 3 - lines.top;
  const bool within = left >= 0 && left + points <= args.gw;
  lines.gain = false;
  for (int k = 2; k >= 0; --k)
    for (int64_t i = 0; i < rows; ++i) {
      const float *row = args.field + (k * args.gh + inside(lines.top + i, args.gh)) * args.gw;
      float held[POINTS + 1];
      for (int64_t j = 0; !within && j < points; ++j) held[j] = row[inside(left + j, args.gw)];
      const float *here = within ? row + left : held;
      if (k == 2 && !lines.gain) {
        if (!varies(here, points)) continue;
        lines.gain = true, i = -1;
        continue;
      }
      (args.cell < 4 ? interpolate<1> : interpolate<4>)(here, first, weight, from, lines.at[k][i]);
    }
}

// The field's k-th number at the pixels of a row.
STYLECINE_INLINE void read_line(const Lines &lines, int k, const Position &down, float *out) {
  float weight[4];
  cubic(down.f, weight[0], weight[1], weight[2], weight[3]);
  const float(*line)[kNone + TILE + GROUP] = lines.at[k] + (down.second - 1 - lines.top);
  if (k == 2 && !lines.gain) memset(out, 0, TILE * sizeof *out);
  else for (int64_t x = 0; x < TILE; ++x)
    out[x] = weight[0] * line[0][kNone + x] + weight[1] * line[1][kNone + x] + weight[2] * line[2][kNone + x] +
             weight[3] * line[3][kNone + x];
}

void locate(const stylecine_drape_args &args, const Tile &tile, const Lines &lines, Offsets &offsets) {
  for (int64_t i = 0; i < TILE; ++i) {
    const Position down = position_of(tile.top + i, args.cell);
    float *const x = offsets.x[i], *const y = offsets.y[i];
    read_line(lines, 0, down, x);
    read_line(lines, 1, down, y);
    const float width = float(args.width) + 4, height = float(args.height) + 4;
    const float row = float(inside(int32_t(tile.top + i), int32_t(args.height)));
    for (int64_t k = 0; k < TILE; ++k) {
      const float column = float(inside(int32_t(tile.left + k), int32_t(args.width)));
      x[k] = clamp(column + x[k], -4, width) - column;
      y[k] = clamp(row + y[k], -4, height) - row;
    }
  }
}

struct Bounds {
  int64_t low, high;
};

// Of offsets in whole pixels.
Bounds bounds(const float (*offsets)[TILE], int64_t rows) {
  alignas(64) float low[TILE], high[TILE];
  for (int64_t x = 0; x < TILE; ++x) low[x] = high[x] = offsets[0][x];
  for (int64_t i = 1; i < rows; ++i)
    for (int64_t x = 0; x < TILE; ++x) {
      low[x] = offsets[i][x] < low[x] ? offsets[i][x] : low[x];
      high[x] = offsets[i][x] > high[x] ? offsets[i][x] : high[x];
    }
  for (int64_t x = 1; x < TILE; ++x) {
    low[0] = low[x] < low[0] ? low[x] : low[0];
    high[0] = high[x] > high[0] ? high[x] : high[0];
  }
  return {floor_of(low[0]), floor_of(high[0])};
}

// SPAN pixels of a row of an image of `Channels` bytes, from column `left` on; `held` is for those past the border.
template <int Channels>
STYLECINE_INLINE const uint8_t *pixels(const uint8_t *image, const stylecine_drape_args &args, int64_t y, int64_t left,
                                       uint8_t *held) {
  const uint8_t *const row = image + inside(y, args.height) * args.width * Channels;
  if (left >= 0 && left + SPAN <= args.width) return row + left * Channels;
  const int64_t begin = min_of(max_of(0, -left), SPAN), end = max_of(begin, min_of(SPAN, args.width - left));
  for (int64_t x = 0; x < begin; ++x) memcpy(held + x * Channels, row, Channels);
  if (begin < end) memcpy(held + begin * Channels, row + (left + begin) * Channels, size_t(end - begin) * Channels);
  for (int64_t x = end; x < SPAN; ++x) memcpy(held + x * Channels, row + (args.width - 1) * Channels, Channels);
  return held;
}

void fill(const stylecine_drape_args &args, Window &window) {
  uint8_t held[3 * SPAN];
  alignas(64) uint8_t least[SPAN];
  memset(least, 255, sizeof least);
  for (int64_t i = 0; i < window.rows; ++i) {
    const uint8_t *const matte = pixels<1>(args.matte, args, window.top + i, window.left, held);
    for (int64_t x = 0; x < SPAN; ++x) least[x] &= matte[x];
    const uint8_t *const photo = pixels<3>(args.photo, args, window.top + i, window.left, held);
    for (int64_t x = 0; x < SPAN; x += GROUP)
      for (int c = 0; c < 3; ++c) save(window.colour[c][i] + x, load_channel(photo + 3 * x, c));
  }
  window.least = 255;
  for (int64_t x = 0; x < SPAN; ++x) window.least &= least[x];
  for (int64_t i = 0; i < window.rows && window.least < 255; ++i) {
    const uint8_t *const matte = pixels<1>(args.matte, args, window.top + i, window.left, held);
    for (int64_t x = 0; x < SPAN; x += GROUP) save(window.matte[i] + x, load_bytes(matte + x));
  }
}

// Offsets of the pixels of a block, in whole pixels: the lowest, and by how much the others are more.
struct Reach {
  int64_t column, row, columns, rows;
};

STYLECINE_INLINE Wide floor_of(Wide x) {
  const Wide whole = __builtin_convertvector(__builtin_convertvector(x, Whole), Wide);
  return x < whole ? whole - 1.0f : whole;
}

STYLECINE_INLINE void extremes(const float (*offsets)[TILE], int64_t &low, int64_t &more) {
  Wide least = load_wide(offsets[0]), most = least;
  for (int64_t i = 1; i < BLOCK; ++i) {
    const Wide x = load_wide(offsets[i]);
    least = x < least ? x : least, most = x > most ? x : most;
  }
  int32_t lows[kWide], highs[kWide];
  const Whole first = __builtin_convertvector(floor_of(least), Whole), last = __builtin_convertvector(floor_of(most), Whole);
  memcpy(lows, &first, sizeof lows), memcpy(highs, &last, sizeof highs);
  int32_t a = lows[0], b = highs[0];
  for (int i = 1; i < kWide; ++i) a = lows[i] < a ? lows[i] : a, b = highs[i] > b ? highs[i] : b;
  low = a, more = b - a;
}

// Weights of Count + more taps, the first of which belongs to the lowest offset of a block.
template <int Count>
STYLECINE_INLINE void weigh(Wide offset, float low, int64_t more, float slope, Wide *weight) {
  const Wide whole = floor_of(offset), f = offset - whole;
  if (Count == 4) cardinal(f, slope, weight);
  else weight[0] = 1.0f - f, weight[1] = f;
  for (int64_t k = 0; k < more; ++k) {
    const Whole further = whole > low + float(k);
    weight[Count + k] = Wide{};
    for (int64_t i = Count + k; i > 0; --i) weight[i] = further ? weight[i - 1] : weight[i];
    weight[0] = further ? Wide{} : weight[0];
  }
}

// A block: kWide columns and BLOCK rows of pixels, whose taps are planned at once.
struct Block {
  int64_t x, y;                    // in the frame
  int64_t rows;                    // that are in the frame
  const float (*dx)[TILE], (*dy)[TILE];
  Reach reach;
};

// Adds up Count + Columns taps across and Count + Rows down, or as many as there are if these are negative, in Planes of
// a window, at the pixels of a block, whose first tap is the first of `plane`. What is read is used for all rows.
template <int Count, int Planes, int Columns, int Rows>
STYLECINE_INLINE void sum(const float *plane, const Block &block, float slope, Wide (*total)[BLOCK]) {
  const int64_t columns = Count + (Columns < 0 ? block.reach.columns : Columns);
  const int64_t rows = Count + (Rows < 0 ? block.reach.rows : Rows);
  Wide across[BLOCK][Columns < 0 ? kTaps : Count + Columns], down[BLOCK][Rows < 0 ? kTaps : Count + Rows];
  for (int64_t i = 0; i < BLOCK; ++i) {
    weigh<Count>(load_wide(block.dx[i]), float(block.reach.column), columns - Count, slope, across[i]);
    weigh<Count>(load_wide(block.dy[i]), float(block.reach.row), rows - Count, slope, down[i]);
  }
  for (int64_t c = 0; c < Planes; ++c, plane += SPAN * SPAN) {
    Wide sums[BLOCK] = {};
#pragma GCC unroll 8
    for (int64_t j = 0; j < BLOCK - 1 + rows; ++j) {
      Wide tap[Columns < 0 ? kTaps : Count + Columns];
      for (int64_t k = 0; k < columns; ++k) tap[k] = load_wide(plane + j * SPAN + k);
#pragma GCC unroll 4
      for (int64_t i = 0; i < BLOCK; ++i) {
        if (j < i || j - i >= rows) continue;
        Wide line = across[i][0] * tap[0];
        for (int64_t k = 1; k < columns; ++k) line += across[i][k] * tap[k];
        sums[i] += down[i][j - i] * line;
      }
    }
    for (int64_t i = 0; i < BLOCK; ++i) total[c][i] = sums[i];
  }
}

STYLECINE_INLINE Wide clamped(Wide x) {
  const Wide least = {}, most = least + 255.5f;
  x = x > least ? x : least;
  return x < most ? x : most;
}

// kWide pixels of a row of the frame, and what they are made of.
struct Group {
  const uint8_t *matte, *photo, *background;
  uint8_t *frame;
};

STYLECINE_INLINE void blend(const Group &at, const Wide *shown, Wide now, Wide gain, Wide noise, const float *dx,
                            const float *dy) {
  float known[2][kWide], part[4][kWide];
  save_wide(known[0], now), save_wide(known[1], gain);
  for (int i = 0; i < kWide; ++i) {
    const float before = float(at.matte[i]) * (1 / 255.f);
    const Shares share = shares(known[0][i], before, known[1][i], unmoved(dx[i], dy[i]));
    part[0][i] = share.cloth, part[1][i] = share.photo, part[2][i] = share.background, part[3][i] = share.frame;
  }
  Wide made[3];
  for (int c = 0; c < 3; ++c)
    made[c] = clamped(shown[c] * load_wide(part[0]) + wide_channel(at.photo, c) * load_wide(part[1]) +
                      wide_channel(at.background, c) * load_wide(part[2]) +
                      wide_channel(at.frame, c) * load_wide(part[3]) + noise);
  save_channels(at.frame, made);
}

STYLECINE_INLINE bool all_are(const uint8_t *bytes, uint8_t value) {
  bool same = true;
  for (int i = 0; i < kWide; i += 4) {
    uint32_t four;
    memcpy(&four, bytes + i, 4);
    same &= four == value * 0x01010101u;
  }
  return same;
}

STYLECINE_INLINE Wide noise_of(const stylecine_drape_args &args, int64_t y, int64_t x) {
  Whole column;
  for (int i = 0; i < kWide; ++i) column[i] = i;
  if (!args.fine) return Wide{} + 0.5f;
  const Whole at = column * 193 + int32_t(193 * x + 147 * y);
  return __builtin_convertvector((at & 255) >> 4, Wide) * 0.0625f + 0.03125f;
}

STYLECINE_INLINE bool any(Wide x) {
  float each[kWide];
  save_wide(each, x);
  int found = 0;
  for (int i = 0; i < kWide; ++i) found |= each[i] != 0;
  return found;
}

template <int Columns, int Rows>
void draw_block(const stylecine_drape_args &args, const Lines &lines, const Window &window, const Block &block) {
  const int64_t left = block.x + block.reach.column - window.left, top = block.y + block.reach.row - window.top;
  const bool all = window.least == 255;
  Wide now[1][BLOCK], shown[3][BLOCK] = {};
  for (int64_t i = 0; i < BLOCK; ++i) now[0][i] = Wide{} + 255.0f;
  if (!all) sum<2, 1, Columns, Rows>(window.matte[top] + left, block, 0, now);
  Wide most = now[0][0];
  for (int64_t i = 1; i < BLOCK; ++i) most += now[0][i];
  const bool shows = all || any(most);
  if (shows) sum<4, 3, Columns, Rows>(window.colour[0][top - 1] + left - 1, block, slope_of(args), shown);
  const int64_t count = args.width - block.x;
  for (int64_t i = 0; i < block.rows; ++i) {
    const int64_t y = block.y + i, pixel = y * args.width + block.x;
    Group at = {args.matte + pixel, args.photo + 3 * pixel, args.background + 3 * pixel, args.frame + 3 * pixel};
    uint8_t held[10 * kWide];
    if (count < kWide) {  // copies, as nothing may be read or written past the end
      memset(held, 0, sizeof held);
      memcpy(held, at.matte, size_t(count));
      memcpy(held + kWide, at.photo, 3 * size_t(count));
      memcpy(held + 4 * kWide, at.background, 3 * size_t(count));
      memcpy(held + 7 * kWide, at.frame, 3 * size_t(count));
      at = {held, held + kWide, held + 4 * kWide, held + 7 * kWide};
    }
    if (!shows && all_are(at.matte, 0) && !memcmp(at.photo, at.background, 3 * kWide)) continue;
    Wide gain = Wide{} + 1.0f;
    if (lines.gain) {
      float each[TILE];
      read_line(lines, 2, position_of(y, args.cell), each);
      for (int64_t k = 0; k < TILE; ++k) each[k] = gamma_gain(each[k]);
      gain = load_wide(each + block.x % TILE);
    }
    const Wide noise = noise_of(args, y, block.x);
    if (all && all_are(at.matte, 255)) {
      Wide made[3];
      for (int c = 0; c < 3; ++c) made[c] = clamped(shown[c][i] * gain + noise);
      save_channels(at.frame, made);
    } else {
      const Wide colour[3] = {shown[0][i], shown[1][i], shown[2][i]};
      blend(at, colour, now[0][i] * (1 / 255.0f), gain, noise, block.dx[i], block.dy[i]);
    }
    if (count < kWide) memcpy(args.frame + 3 * pixel, at.frame, 3 * size_t(count));
  }
}

void draw_blocks(const stylecine_drape_args &args, const Tile &tile, const Lines &lines, const Offsets &offsets,
                 const Window &window, int64_t from) {
  for (int64_t x = 0; x < tile.columns; x += kWide) {
    Block block = {tile.left + x, tile.top + from, min_of(BLOCK, tile.rows - from), offsets.x + from, offsets.y + from, {}};
    block.dx = reinterpret_cast<const float(*)[TILE]>(offsets.x[from] + x);
    block.dy = reinterpret_cast<const float(*)[TILE]>(offsets.y[from] + x);
    extremes(block.dx, block.reach.column, block.reach.columns);
    extremes(block.dy, block.reach.row, block.reach.rows);
    if (block.reach.columns > 1 || block.reach.rows > 1) draw_block<-1, -1>(args, lines, window, block);
    else if (block.reach.columns && block.reach.rows) draw_block<1, 1>(args, lines, window, block);
    else if (block.reach.columns) draw_block<1, 0>(args, lines, window, block);
    else if (block.reach.rows) draw_block<0, 1>(args, lines, window, block);
    else draw_block<0, 0>(args, lines, window, block);
  }
}

// Rows of a tile, as many at once as have their places near to each other.
void draw_rows(const stylecine_drape_args &args, const Tile &tile, const Lines &lines, const Offsets &offsets,
               int64_t from, int64_t to) {
  const Bounds x = bounds(offsets.x + from, to - from), y = bounds(offsets.y + from, to - from);
  Window window;
  window.left = tile.left + x.low - 1, window.top = tile.top + from + y.low - 1;
  window.rows = to - from + y.high - y.low + 3;
  if (max_of(x.high - x.low, y.high - y.low) <= kMore && window.rows <= SPAN) {
    fill(args, window);
    for (; from < min_of(to, tile.rows); from += BLOCK) draw_blocks(args, tile, lines, offsets, window, from);
  } else if (to - from > BLOCK) {
    const int64_t middle = from + (to - from + BLOCK) / (2 * BLOCK) * BLOCK;
    draw_rows(args, tile, lines, offsets, from, middle);
    draw_rows(args, tile, lines, offsets, middle, to);
  } else {
    for (; from < min_of(to, tile.rows); ++from) {
      alignas(64) float gain[TILE];
      const int64_t row = tile.top + from;
      read_line(lines, 2, position_of(row, args.cell), gain);
      for (int64_t i = 0; i < tile.columns; ++i)
        draw(args, row, tile.left + i, offsets.x[from][i], offsets.y[from][i], gain[i]);
    }
  }
}

void drape_tile(const stylecine_drape_args &args, int64_t top, int64_t left) {
  const Tile tile = {top, left, min_of(TILE, args.height - top), min_of(TILE, args.width - left)};
  Lines lines;
  Offsets offsets;
  read_field(args, tile, lines);
  locate(args, tile, lines, offsets);
  draw_rows(args, tile, lines, offsets, 0, (tile.rows + BLOCK - 1) / BLOCK * BLOCK);
}

}  // namespace

void drape(const stylecine_drape_args &args, stylecine_cpu *cpu) {
  const int64_t wide = (args.width + TILE - 1) / TILE, high = (args.height + TILE - 1) / TILE;
  parallel(cpu, wide * high, [&](int64_t tile) {
    if (args.active[tile]) drape_tile(args, tile / wide * TILE, tile % wide * TILE);
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
