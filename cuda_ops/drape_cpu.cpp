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
constexpr int64_t START = 16;         // of a tile in a line, after pixels of a cell that begins left of it
constexpr int64_t LINE = START + TILE + 16;
constexpr int64_t SPAN = TILE + 16;         // columns and rows of the photo, at most, that are at hand at once
constexpr int64_t kMore = SPAN - TILE - 3;  // by how much offsets in them may differ
constexpr int64_t BLOCK = 4;                // rows whose taps are planned at once

// A tile's pixels in the frame.
struct Tile {
  int64_t top, left, rows, columns;
};

// The field around a tile, at its columns of pixels and at its own rows of points.
struct Lines {
  alignas(64) float at[3][POINTS][LINE];
  int64_t top;  // the first row, before they are held to the grid
};

// The field at a tile's pixels: by how much the places that are read differ from their own, and the gain.
struct Field {
  alignas(64) float x[TILE][TILE], y[TILE][TILE], gain[TILE][TILE];
};

// Offsets of the pixels of a block, in whole pixels: the lowest, and by how much the others are more.
struct Reach {
  int32_t column, row, columns, rows;
};

// The pixels of the photo around a tile's places, the border replicated; and the matte there.
struct Window {
  int64_t top, left, rows, columns;
  alignas(64) float colour[3][SPAN][SPAN];
  uint8_t matte[SPAN][SPAN];
};

// A line of the field: Step neighbouring pixels lie between the same points.
template <int Step>
void interpolate(const float *points, const int32_t *first, const float (*weight)[LINE], int64_t from, float *out) {
  for (int64_t x = from; x < START + TILE; x += Step) {
    float sum[Step] = {};
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < Step; ++i) sum[i] += weight[k][x + i] * points[first[x] + k];
    for (int i = 0; i < Step; ++i) out[x + i] = sum[i];
  }
}

void read_lines(const stylecine_drape_args &args, const Tile &tile, int planes, Lines &lines) {
  alignas(64) float weight[4][LINE];
  int32_t first[LINE];
  const int64_t from = START - (args.cell == 4 ? 2 : 0);  // four pixels from there on are of the same cell
  const int64_t left = position_of(tile.left + from - START, args.cell).second - 1;
  for (int64_t x = from; x < LINE; ++x) {
    const Position at = position_of(tile.left + x - START, args.cell);
    first[x] = at.second - 1 - left;
    cubic(at.f, weight[0][x], weight[1][x], weight[2][x], weight[3][x]);
  }
  const int64_t points = first[START + TILE - 1] + 4;
  const bool within = left >= 0 && left + points <= args.gw;
  lines.top = position_of(tile.top, args.cell).second - 1;
  const int64_t rows = position_of(tile.top + TILE - 1, args.cell).second + 3 - lines.top;
  for (int k = 0; k < planes; ++k)
    for (int64_t i = 0; i < rows; ++i) {
      const float *const row = args.field + (k * args.gh + inside(lines.top + i, args.gh)) * args.gw;
      float held[POINTS + 1];
      for (int64_t j = 0; !within && j < points; ++j) held[j] = row[inside(left + j, args.gw)];
      const auto line = args.cell < 4 ? interpolate<1> : interpolate<4>;
      line(within ? row + left : held, first, weight, from, lines.at[k][i]);
    }
}

// The field's k-th number at the pixels of a row.
STYLECINE_INLINE void read_line(const Lines &lines, int k, const Position &down, float *out) {
  float weight[4];
  cubic(down.f, weight[0], weight[1], weight[2], weight[3]);
  const float (*line)[LINE] = lines.at[k] + (down.second - 1 - lines.top);
  for (int64_t x = START; x < START + TILE; ++x)
    out[x - START] = weight[0] * line[0][x] + weight[1] * line[1][x] + weight[2] * line[2][x] + weight[3] * line[3][x];
}

// Pixels past the border are the nearest within.
void read_field(const stylecine_drape_args &args, const Tile &tile, bool gains, Field &field) {
  Lines lines;
  read_lines(args, tile, gains ? 3 : 2, lines);
  const int32_t height = int32_t(args.height), width = int32_t(args.width);
  for (int64_t i = 0; i < TILE; ++i) {
    const Position down = position_of(tile.top + i, args.cell);
    float *const x = field.x[i], *const y = field.y[i], *const gain = field.gain[i];
    read_line(lines, 0, down, x);
    read_line(lines, 1, down, y);
    if (gains) read_line(lines, 2, down, gain);
    for (int64_t k = 0; k < TILE; ++k) gain[k] = gains ? gamma_gain(gain[k]) : 1;
    const float row = float(inside(int32_t(tile.top + i), height));
    for (int64_t k = 0; k < TILE; ++k) {
      const float column = float(inside(int32_t(tile.left + k), width));
      x[k] = clamp(column + x[k], -4, float(width) + 4) - column;
      y[k] = clamp(row + y[k], -4, float(height) + 4) - row;
    }
  }
}

// Of the block whose offsets begin at x and y.
STYLECINE_INLINE Reach reach_of(const float (*x)[TILE], const float (*y)[TILE]) {
  Wide bound[4] = {load_wide(x[0]), -load_wide(x[0]), load_wide(y[0]), -load_wide(y[0])};
  for (int64_t i = 1; i < BLOCK; ++i) {
    const Wide each[4] = {load_wide(x[i]), -load_wide(x[i]), load_wide(y[i]), -load_wide(y[i])};
    for (int k = 0; k < 4; ++k) bound[k] = each[k] < bound[k] ? each[k] : bound[k];
  }
  float least[4];
  save_least(least, bound);
  const int32_t column = floor_of(least[0]), row = floor_of(least[2]);
  return {column, row, floor_of(-least[1]) - column, floor_of(-least[3]) - row};
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
  for (int64_t i = 0; i < window.rows; ++i) {
    memcpy(window.matte[i], pixels<1>(args.matte, args, window.top + i, window.left, held), SPAN);
    const uint8_t *const photo = pixels<3>(args.photo, args, window.top + i, window.left, held);
    for (int64_t x = 0; x < window.columns; x += kWide)
      for (int c = 0; c < 3; ++c) save_wide(window.colour[c][i] + x, wide_channel(photo + 3 * x, c));
  }
}

STYLECINE_INLINE Wide floor_of(Wide x) {
  const Wide whole = __builtin_convertvector(__builtin_convertvector(x, Whole), Wide);
  return x < whole ? whole - 1.0f : whole;
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
  int64_t y, x, rows;  // in the frame
  const float (*dx)[TILE], (*dy)[TILE], (*gain)[TILE];
  Reach reach;
};

// Adds up Count + Columns taps across and Count + Rows down, or as many as there are if these are negative, in Planes
// of a window, at the pixels of a block, whose first tap is the first of `plane`. What is read is used for all rows.
template <int Count, int Planes, int Columns, int Rows, class T>
STYLECINE_INLINE void sum(const T *plane, const Block &block, float slope, Wide (*total)[BLOCK]) {
  const int64_t columns = Count + (Columns < 0 ? block.reach.columns : Columns);
  const int64_t rows = Count + (Rows < 0 ? block.reach.rows : Rows);
  Wide across[BLOCK][Count + (Columns < 0 ? kMore : Columns)], down[BLOCK][Count + (Rows < 0 ? kMore : Rows)];
  for (int64_t i = 0; i < BLOCK; ++i) {
    weigh<Count>(load_wide(block.dx[i]), float(block.reach.column), columns - Count, slope, across[i]);
    weigh<Count>(load_wide(block.dy[i]), float(block.reach.row), rows - Count, slope, down[i]);
  }
  for (int64_t c = 0; c < Planes; ++c, plane += SPAN * SPAN) {
    Wide sums[BLOCK] = {};
#pragma GCC unroll 8
    for (int64_t j = 0; j < BLOCK - 1 + rows; ++j) {
      Wide tap[Count + (Columns < 0 ? kMore : Columns)];
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

STYLECINE_INLINE void blend(const Group &at, const Wide *shown, Wide now, Wide gain, Wide noise, Wide dx, Wide dy) {
  const Wide before = load_wide(at.matte) * (1 / 255.f);
  const Shares<Wide> part = shares(now, before, gain, unmoved(dx, dy));
  Wide made[3];
  for (int c = 0; c < 3; ++c)
    made[c] =
        clamped(shown[c] * part.cloth + wide_channel(at.photo, c) * part.photo +
                wide_channel(at.background, c) * part.background + wide_channel(at.frame, c) * part.frame + noise);
  save_channels(at.frame, made);
}

STYLECINE_INLINE Wide noise_of(const stylecine_drape_args &args, int64_t y, int64_t x) {
  Whole column;
  for (int i = 0; i < kWide; ++i) column[i] = i;
  if (!args.fine) return Wide{} + 0.5f;
  const Whole at = column * 193 + int32_t(193 * x + 147 * y);
  return __builtin_convertvector((at & 255) >> 4, Wide) * 0.0625f + 0.03125f;
}

// All and any of the bits of the matte that a block reads.
struct Opacity {
  Bytes all, any;
};

STYLECINE_INLINE Opacity opacity_of(const uint8_t *matte, const Reach &reach) {
  Opacity result = {Bytes(~Bytes(0)), 0};
  for (int64_t i = 0; i < BLOCK + 1 + reach.rows; ++i)
    for (int64_t k = 0; k < kWide + 1 + reach.columns; k += kWide) {
      const Bytes bytes = load_raw(matte + i * SPAN + min_of(k, 1 + reach.columns));
      result.all &= bytes, result.any |= bytes;
    }
  return result;
}

template <int Columns, int Rows>
void draw_block(const stylecine_drape_args &args, const Window &window, const Block &block) {
  const int64_t left = block.x + block.reach.column - window.left, top = block.y + block.reach.row - window.top;
  constexpr Bytes kAll = Bytes(~Bytes(0));
  const Opacity opacity = opacity_of(window.matte[top] + left, block.reach);
  Wide now[1][BLOCK], shown[3][BLOCK];
  if (!opacity.any) memset(now, 0, sizeof now), memset(shown, 0, sizeof shown);
  if (opacity.all == kAll)
    for (Wide &each : now[0]) each = Wide{} + 255.0f;
  if (opacity.any && opacity.all != kAll) sum<2, 1, Columns, Rows>(window.matte[top] + left, block, 0, now);
  if (opacity.any) sum<4, 3, Columns, Rows>(window.colour[0][top - 1] + left - 1, block, slope_of(args), shown);
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
    const Bytes before = load_raw(at.matte);
    if (!opacity.any && !before && !memcmp(at.photo, at.background, 3 * kWide)) continue;
    const Wide gain = load_wide(block.gain[i]), noise = noise_of(args, y, block.x);
    const Wide colour[3] = {shown[0][i], shown[1][i], shown[2][i]};
    if ((opacity.all & before) == kAll) {
      Wide made[3];
      for (int c = 0; c < 3; ++c) made[c] = clamped(colour[c] * gain + noise);
      save_channels(at.frame, made);
    } else {
      blend(at, colour, now[0][i] * (1 / 255.0f), gain, noise, load_wide(block.dx[i]), load_wide(block.dy[i]));
    }
    if (count < kWide) memcpy(args.frame + 3 * pixel, at.frame, 3 * size_t(count));
  }
}

// The reach of every block of a tile.
using Reaches = Reach[TILE / BLOCK][TILE / kWide];

void draw_blocks(const stylecine_drape_args &args, const Tile &tile, const Field &field, const Reach *reaches,
                 const Window &window, int64_t from) {
  for (int64_t x = 0; x < tile.columns; x += kWide) {
    const Reach reach = reaches[x / kWide];
    const auto part = [&](const float (&of)[TILE][TILE]) {
      return reinterpret_cast<const float (*)[TILE]>(of[from] + x);
    };
    const Block block = {tile.top + from,  tile.left + x, min_of(BLOCK, tile.rows - from), part(field.x), part(field.y),
                         part(field.gain), reach};
    if (reach.columns > 1 || reach.rows > 1) draw_block<-1, -1>(args, window, block);
    else if (reach.columns && reach.rows) draw_block<1, 1>(args, window, block);
    else if (reach.columns) draw_block<1, 0>(args, window, block);
    else if (reach.rows) draw_block<0, 1>(args, window, block);
    else draw_block<0, 0>(args, window, block);
  }
}

// Rows of a tile, as many at once as have their places near to each other.
void draw_rows(const stylecine_drape_args &args, const Tile &tile, const Field &field, const Reaches &reaches,
               int64_t from, int64_t to) {
  Reach reach = reaches[from / BLOCK][0];
  int32_t right = reach.column, bottom = reach.row;
  for (int64_t i = from / BLOCK; i < to / BLOCK; ++i)
    for (const Reach &each : reaches[i]) {
      reach.column = each.column < reach.column ? each.column : reach.column;
      reach.row = each.row < reach.row ? each.row : reach.row;
      right = each.column + each.columns > right ? each.column + each.columns : right;
      bottom = each.row + each.rows > bottom ? each.row + each.rows : bottom;
    }
  reach.columns = right - reach.column, reach.rows = bottom - reach.row;
  Window window;
  window.left = tile.left + reach.column - 1, window.top = tile.top + from + reach.row - 1;
  window.rows = to - from + reach.rows + 3, window.columns = TILE + reach.columns + 3;
  if (reach.columns <= kMore && reach.rows <= kMore) {
    fill(args, window);
    for (; from < to; from += BLOCK) draw_blocks(args, tile, field, reaches[from / BLOCK], window, from);
  } else if (to - from > BLOCK) {
    const int64_t middle = from + (to - from + BLOCK) / (2 * BLOCK) * BLOCK;
    draw_rows(args, tile, field, reaches, from, middle);
    draw_rows(args, tile, field, reaches, middle, to);
  } else {
    for (; from < min_of(to, tile.rows); ++from)
      for (int64_t i = 0; i < tile.columns; ++i)
        draw(args, int(tile.top + from), int(tile.left + i), field.x[from][i], field.y[from][i], field.gain[from][i]);
  }
}

void drape_tile(const stylecine_drape_args &args, int64_t top, int64_t left, bool gains) {
  const Tile tile = {top, left, min_of(TILE, args.height - top), min_of(TILE, args.width - left)};
  for (int64_t i = 0; i < tile.rows; ++i)  // in the meantime the field is read
    for (int64_t k = 0; k < 3 * tile.columns; k += 48) {
      __builtin_prefetch(args.photo + ((top + i) * args.width + left) * 3 + k);
      __builtin_prefetch(args.frame + ((top + i) * args.width + left) * 3 + k, 1);
    }
  Field field;
  read_field(args, tile, gains, field);
  Reaches reaches;
  const int64_t rows = (tile.rows + BLOCK - 1) / BLOCK * BLOCK;
  for (int64_t i = 0; i < rows; i += BLOCK)
    for (int64_t x = 0; x < TILE; x += kWide)
      reaches[i / BLOCK][x / kWide] = reach_of(reinterpret_cast<const float (*)[TILE]>(field.x[i] + x),
                                               reinterpret_cast<const float (*)[TILE]>(field.y[i] + x));
  draw_rows(args, tile, field, reaches, 0, rows);
}

}  // namespace

void drape(const stylecine_drape_args &args, stylecine_cpu *cpu) {
  const int64_t wide = (args.width + TILE - 1) / TILE, high = (args.height + TILE - 1) / TILE;
  const int64_t plane = args.gh * args.gw;
  int gains = 0;
  for (int64_t i = 2 * plane; i < 3 * plane; ++i) gains |= args.field[i] != 0;
  parallel(cpu, wide * high, [&](int64_t tile) {
    if (args.active[tile]) drape_tile(args, tile / wide * TILE, tile % wide * TILE, gains);
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
