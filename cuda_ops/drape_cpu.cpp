// drape on the CPU: tile by tile, for a few frames at once, as they need nearly the same pixels. Neighbouring pixels
// are read at neighbouring places, so a register full of them reads whole registers of the photo: one for each column
// and row of taps that any of them needs, with a weight of 0 for those that do not.
#include "drape.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t TILE = kDrapeTile;
constexpr int64_t RUN = 8;                  // tiles beside each other that one thread draws, at most
constexpr int64_t COLUMNS = 2 * TILE + 16;  // points that they need, at most, in whole registers
constexpr int64_t START = 16;               // of a tile in a line, after pixels of a cell that begins left of it
constexpr int64_t LINE = START + TILE + 16;
constexpr int64_t SPAN = TILE + 16;         // columns and rows of the photo, at most, that are at hand at once
constexpr int64_t kMore = SPAN - TILE - 3;  // by how much offsets in them may differ
constexpr int64_t BLOCK = 4;                // rows whose taps are planned at once
constexpr int64_t TOGETHER = 4;             // frames, at most

// A tile's pixels in the frame.
struct Tile {
  int64_t top, left, rows, columns;
};

// The columns of a tile among the points of the field, and their weights.
struct Columns {
  int64_t from, points;               // the first pixel of a line, and the points that a line needs
  alignas(64) float weight[4][LINE];  // of four points
  int32_t first[LINE];                // of these, counted from the first of the line
};

// A frame's points around some tiles, which are held to the grid.
struct Points {
  alignas(64) float at[3][kDrapePoints][COLUMNS];
};

// The field around a tile, at its columns of pixels and at its own rows of points.
struct Lines {
  alignas(64) float at[3][kDrapePoints][LINE];
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
void interpolate(const float *points, const Columns &columns, float *out) {
  for (int64_t x = columns.from; x < START + TILE; x += Step) {
    float sum[Step] = {};
    for (int k = 0; k < 4; ++k)
      for (int i = 0; i < Step; ++i) sum[i] += columns.weight[k][x + i] * points[columns.first[x] + k];
    for (int i = 0; i < Step; ++i) out[x + i] = sum[i];
  }
}

// The first pixel of a tile's lines: four pixels from there on are of the same cell.
int64_t start_of(const stylecine_drape_args &args) { return START - (args.cell == 4 ? 2 : 0); }

// The first column of points of a tile's lines.
int32_t left_of(const stylecine_drape_args &args, int64_t left) {
  return first_point(int32_t(left + start_of(args) - START), args.cell);
}

Columns columns_of(const stylecine_drape_args &args, int64_t left) {
  Columns columns;
  const int32_t point = left_of(args, left);
  columns.from = start_of(args), columns.points = points_to(int32_t(left + TILE - 1), args.cell, point);
  for (int64_t x = columns.from; x < LINE; ++x) {
    const Position at = position_of(int32_t(left + x - START), args.cell);
    columns.first[x] = int32_t(at.second - 1 - point);
    float weight[4];
    cubic(at.f, weight[0], weight[1], weight[2], weight[3]);
    for (int k = 0; k < 4; ++k) columns.weight[k][x] = weight[k];
  }
  return columns;
}

// The weighted sums of the keyframes, for `count` frames from `first` on, from a column and row of points.
void read_points(const stylecine_drape_args &args, int64_t left, int64_t columns, int64_t top, int64_t rows,
                 int64_t first, int64_t count, Points *points) {
  float weights[kDrapeKeys][TOGETHER] = {};
  for (int64_t key = 0; key < args.keys; ++key)
    for (int64_t i = 0; i < count; ++i) weights[key][i] = args.weights[(first + i) * args.keys + key];
  const int64_t room = (columns + kWide - 1) / kWide * kWide, plane = args.gh * args.gw;
  const auto row_of = [&](int64_t k, int64_t y) {
    return args.keyframes + k * plane + inside(top + y, args.gh) * args.gw;
  };
  for (int64_t k = 0; k < 3; ++k)
    for (int64_t y = 0; y < rows; ++y) {
      const float *const row = row_of(k, y), *const next = row_of(k, y + 1) + inside(left, args.gw);
      for (int64_t key = 0; key < args.keys; ++key)  // more places at once than a processor foresees
        for (int64_t x = 0; x < room; x += 16) __builtin_prefetch(next + key * 3 * plane + x);
      for (int64_t x = 0; x < room; x += kWide) {
        const bool within = left + x >= 0 && left + x + kWide <= args.gw;
        Wide sum[TOGETHER] = {};
        for (int64_t key = 0; key < args.keys; ++key) {
          const float *const at = row + key * 3 * plane;
          Wide value;
          if (within) value = load_wide(at + left + x);
          else
            for (int64_t j = 0; j < kWide; ++j) value[j] = at[inside(left + x + j, args.gw)];
          for (int64_t i = 0; i < TOGETHER; ++i) sum[i] += weights[key][i] * value;
        }
        for (int64_t i = 0; i < count; ++i) save_wide(points[i].at[k][y] + x, sum[i]);
      }
    }
}

bool any_gain(const Points &points, int64_t from, int64_t columns, int64_t rows) {
  int any = 0;
  for (int64_t y = 0; y < rows; ++y)
    for (int64_t x = from; x < from + columns; ++x) any |= points.at[2][y][x] != 0;
  return any;
}

// The field's k-th number at the pixels of a row.
STYLECINE_INLINE void read_line(const float (*lines)[LINE], const Position &down, float *out) {
  float weight[4];
  cubic(down.f, weight[0], weight[1], weight[2], weight[3]);
  for (int64_t x = START; x < START + TILE; ++x)
    out[x - START] =
        weight[0] * lines[0][x] + weight[1] * lines[1][x] + weight[2] * lines[2][x] + weight[3] * lines[3][x];
}

// From the points of a line, of which `from` is a tile's first. Pixels past the border are the nearest within.
void read_field(const stylecine_drape_args &args, const Tile &tile, const Columns &columns, const Points &points,
                int64_t from, Field &field) {
  const int32_t top = first_point(int32_t(tile.top), args.cell);
  const int64_t rows = points_to(int32_t(tile.top + TILE - 1), args.cell, top);
  const bool gains = any_gain(points, from, columns.points, rows);
  Lines lines;
  const auto line = args.cell < 4 ? interpolate<1> : interpolate<4>;
  for (int k = 0; k < (gains ? 3 : 2); ++k)
    for (int64_t y = 0; y < rows; ++y) line(points.at[k][y] + from, columns, lines.at[k][y]);
  const int32_t height = int32_t(args.height), width = int32_t(args.width);
  float own[TILE];
  for (int64_t k = 0; k < TILE; ++k) own[k] = float(inside(int32_t(tile.left + k), width));
  for (int64_t i = 0; i < TILE; ++i) {
    const Position down = position_of(tile.top + i, args.cell);
    const int64_t first = down.second - 1 - top;
    float *const x = field.x[i], *const y = field.y[i], *const gain = field.gain[i];
    read_line(lines.at[0] + first, down, x);
    read_line(lines.at[1] + first, down, y);
    if (gains) read_line(lines.at[2] + first, down, gain);
    for (int64_t k = 0; k < TILE; ++k) gain[k] = gains ? gamma_gain(gain[k]) : 1;
    const float row = float(inside(int32_t(tile.top + i), height));
    for (int64_t k = 0; k < TILE; ++k) {
      x[k] = clamp(own[k] + x[k], -4, float(width) + 4) - own[k];
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
  uint8_t *frame;
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
    Group at = {args.matte + pixel, args.photo + 3 * pixel, args.background + 3 * pixel, block.frame + 3 * pixel};
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
    if (count < kWide) memcpy(block.frame + 3 * pixel, at.frame, 3 * size_t(count));
  }
}

// A tile of a frame: the field at its pixels, and the reach of every block.
struct Part {
  uint8_t *frame;
  Field field;
  Reach reaches[TILE / BLOCK][TILE / kWide];
};

void read_part(const stylecine_drape_args &args, int64_t frame, const Tile &tile, const Columns &columns,
               const Points &points, int64_t from, Part &part) {
  part.frame = args.frame + 3 * frame * args.height * args.width;
  for (int64_t i = 0; i < tile.rows; ++i)  // in the meantime the field is read
    for (int64_t k = 0; k < 3 * tile.columns; k += 48)
      __builtin_prefetch(part.frame + ((tile.top + i) * args.width + tile.left) * 3 + k, 1);
  read_field(args, tile, columns, points, from, part.field);
  for (int64_t i = 0; i < tile.rows; i += BLOCK)
    for (int64_t x = 0; x < TILE; x += kWide)
      part.reaches[i / BLOCK][x / kWide] = reach_of(reinterpret_cast<const float (*)[TILE]>(part.field.x[i] + x),
                                                    reinterpret_cast<const float (*)[TILE]>(part.field.y[i] + x));
}

// BLOCK rows of a tile, from `from` on.
void draw_blocks(const stylecine_drape_args &args, const Tile &tile, const Part &part, const Window &window,
                 int64_t from) {
  for (int64_t x = 0; x < tile.columns; x += kWide) {
    const Reach reach = part.reaches[from / BLOCK][x / kWide];
    const auto at = [&](const float (&of)[TILE][TILE]) {
      return reinterpret_cast<const float (*)[TILE]>(of[from] + x);
    };
    const Block block = {part.frame,       tile.top + from,  tile.left + x,       min_of(BLOCK, tile.rows - from),
                         at(part.field.x), at(part.field.y), at(part.field.gain), reach};
    if (reach.columns > 1 || reach.rows > 1) draw_block<-1, -1>(args, window, block);
    else if (reach.columns && reach.rows) draw_block<1, 1>(args, window, block);
    else if (reach.columns) draw_block<1, 0>(args, window, block);
    else if (reach.rows) draw_block<0, 1>(args, window, block);
    else draw_block<0, 0>(args, window, block);
  }
}

// Of rows of several frames.
Reach reach_of(const Part *parts, int64_t count, int64_t from, int64_t to) {
  Reach reach = parts[0].reaches[from / BLOCK][0];
  int32_t right = reach.column, bottom = reach.row;
  for (const Part *part = parts; part < parts + count; ++part)
    for (int64_t i = from; i < to; i += BLOCK)
      for (const Reach &each : part->reaches[i / BLOCK]) {
        reach.column = each.column < reach.column ? each.column : reach.column;
        reach.row = each.row < reach.row ? each.row : reach.row;
        right = each.column + each.columns > right ? each.column + each.columns : right;
        bottom = each.row + each.rows > bottom ? each.row + each.rows : bottom;
      }
  reach.columns = right - reach.column, reach.rows = bottom - reach.row;
  return reach;
}

// Rows of a tile in some frames, as many at once as have their places near to each other.
void draw_rows(const stylecine_drape_args &args, const Tile &tile, const Part *parts, int64_t count, int64_t from,
               int64_t to) {
  const Reach reach = reach_of(parts, count, from, to);
  if (reach.columns <= kMore && reach.rows <= kMore) {
    Window window;
    window.left = tile.left + reach.column - 1, window.top = tile.top + from + reach.row - 1;
    window.rows = to - from + reach.rows + 3, window.columns = TILE + reach.columns + 3;
    fill(args, window);
    for (const Part *part = parts; part < parts + count; ++part)
      for (int64_t i = from; i < to; i += BLOCK) draw_blocks(args, tile, *part, window, i);
  } else if (count > 1) {
    for (int64_t k = 0; k < count; ++k) draw_rows(args, tile, parts + k, 1, from, to);
  } else if (to - from > BLOCK) {
    const int64_t middle = from + (to - from + BLOCK) / (2 * BLOCK) * BLOCK;
    draw_rows(args, tile, parts, 1, from, middle);
    draw_rows(args, tile, parts, 1, middle, to);
  } else {
    const Field &field = parts->field;
    for (; from < min_of(to, tile.rows); ++from)
      for (int64_t i = 0; i < tile.columns; ++i)
        draw(args, parts->frame, int(tile.top + from), int(tile.left + i), field.x[from][i], field.y[from][i],
             field.gain[from][i]);
  }
}

// Tiles of a row, from the one at `begin` to before `end`.
void drape_run(const stylecine_drape_args &args, const uint8_t *active, int64_t top, int64_t begin, int64_t end) {
  const int32_t left = left_of(args, begin * TILE), above = first_point(int32_t(top), args.cell);
  const int64_t wide = points_to(int32_t(end * TILE - 1), args.cell, left);
  const int64_t high = points_to(int32_t(top + TILE - 1), args.cell, above);
  Points points[TOGETHER];
  Part parts[TOGETHER];
  Columns columns = columns_of(args, begin * TILE);
  for (int64_t first = 0; first < args.frames; first += TOGETHER) {
    const int64_t count = min_of(TOGETHER, args.frames - first);
    read_points(args, left, wide, above, high, first, count, points);
    for (int64_t k = begin; k < end; ++k) {
      if (!active[k]) continue;
      const Tile tile = {top, k * TILE, min_of(TILE, args.height - top), min_of(TILE, args.width - k * TILE)};
      if (args.cell > TILE) columns = columns_of(args, tile.left);  // else those of every tile are alike
      const int64_t from = left_of(args, tile.left) - left;
      for (int64_t i = 0; i < count; ++i) read_part(args, first + i, tile, columns, points[i], from, parts[i]);
      draw_rows(args, tile, parts, count, 0, (tile.rows + BLOCK - 1) / BLOCK * BLOCK);
    }
  }
}

}  // namespace

void drape(const stylecine_drape_args &args, stylecine_cpu *cpu) {
  const int64_t wide = (args.width + TILE - 1) / TILE, high = (args.height + TILE - 1) / TILE;
  // As many as have room for their points.
  const int64_t run = min_of(RUN, 2 * args.cell), runs = (wide + run - 1) / run;
  parallel(cpu, runs * high, [&](int64_t i) {
    const uint8_t *const active = args.active + i / runs * wide;
    int64_t begin = i % runs * run, end = min_of(begin + run, wide);
    while (begin < end && !active[begin]) ++begin;
    while (begin < end && !active[end - 1]) --end;
    if (begin < end) drape_run(args, active, i / runs * TILE, begin, end);
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
