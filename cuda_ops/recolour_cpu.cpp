// recolour on the CPU: bands of rows. Where registers hold all lumas of a number of the transforms, it is looked up
// there for sixteen pixels at once; elsewhere the transform of one pixel fills a vector. All frames of a call take the
// same transforms, row by row.
#include "noise.h"
#include "recolour.h"
#include "vector.h"

namespace stylecine {
namespace STYLECINE_SET {
namespace {

constexpr int64_t ROWS = 64;               // of a band
constexpr int64_t PART = 512;              // pixels of a row, at most, whose columns of the grid are held at once: long
                                           // pieces of rows, as the processor foresees those
constexpr int64_t GROUP = 16;              // pixels; a part has at most 64 groups
constexpr int64_t CELLS = 256;             // transforms that are held, each with its slope to the next column
constexpr int64_t kCell = 2 * kTransform;  // floats

// A frame of a call.
struct Frame {
  const uint8_t *in;
  uint8_t *out;
  float amount;
};

Frame frame_of(const stylecine_recolour_args &args, int64_t i) {
  const int64_t begin = 3 * i * args.height * args.width;
  return {args.frame + begin, args.out + begin, args.amount[i]};
}

// Where the pixels of a part lie among its columns of the grid.
struct Columns {
  int64_t x, n;          // pixels
  int64_t first, count;  // columns of the grid
  alignas(64) float f[PART];
  alignas(64) int32_t left[PART];  // floats from the beginning of a line
};

// The transforms of a part's columns, interpolated down to one row, each followed by its slope to the next column.
void read_line(const stylecine_recolour_args &args, const Between &down, const Columns &columns, float *line) {
  const int64_t plane = args.gh * args.gw * kTransform;
  const auto at = [&](int64_t column, int64_t d) {
    const int64_t x = min_of(columns.first + column, args.gw - 1);
    const Vector above = load(args.grid + d * plane + (down.first * args.gw + x) * kTransform);
    return fma(load(args.grid + d * plane + (down.second * args.gw + x) * kTransform) - above, all(down.f), above);
  };
  for (int64_t d = 0; d < args.depth; ++d) {
    Vector here = at(0, d);
    for (int64_t column = 0; column < columns.count; ++column) {
      float *cell = line + (column * args.depth + d) * kCell;
      const Vector next = at(column + 1, d);
      save(cell, here);
      save(cell + kTransform, next - here);
      here = next;
    }
  }
}

// The columns from pixel x on, before `end`, over at most `most` columns of the grid (1 or more), each of which takes
// `floats` floats.
void plan(const stylecine_recolour_args &args, int64_t x, int64_t end, int64_t most, int64_t floats, Columns &columns) {
  columns.x = x, columns.first = across(x, args.width, args.gw).first;
  for (columns.n = 0; columns.n < PART && x + columns.n < end; ++columns.n) {
    const Between at = across(x + columns.n, args.width, args.gw);
    if (at.first - columns.first >= most) break;
    columns.f[columns.n] = at.f;
    columns.left[columns.n] = int32_t((at.first - columns.first) * floats);
    columns.count = at.first - columns.first + 1;
  }
}

// Temporaries of one row of a part.
struct Row {
  alignas(64) float colour[(PART + 4) * 4], sum[(PART + 4) * 4], level[PART];
  alignas(64) int32_t low[PART], high[PART];
};

// The pixels of a row: their colours and 255, and where they lie among the lumas of the grid.
void read_pixels(const stylecine_recolour_args &args, const uint8_t *pixels, const Columns &columns, Row &row) {
  const int64_t n = columns.n;
  alignas(64) static const float kWhite[16] = {0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) save(row.colour + 4 * i, load_rgb(pixels + 3 * i) + load(kWhite));
  for (; i < n; ++i) {
    for (int c = 0; c < 3; ++c) row.colour[4 * i + c] = float(pixels[3 * i + c]);
    row.colour[4 * i + 3] = 255;
  }
  const float most = float(args.depth - 1);
  const int32_t last = int32_t(args.depth - 1);
  for (i = 0; i < n; ++i) {
    const float at = luma_of(row.colour[4 * i], row.colour[4 * i + 1], row.colour[4 * i + 2]) * most;
    const int32_t whole = int32_t(at);
    row.level[i] = at - float(whole);
    row.low[i] = whole * int32_t(kCell);
    row.high[i] = row.low[i] + (whole < last) * int32_t(kCell);
  }
}

// What is added to four pixels from the i-th of a part's row on, or to as many as there are.
STYLECINE_INLINE void sum_four(const stylecine_recolour_args &args, const Frame &frame, const float *line,
                               const Columns &columns, int64_t y, int64_t i, Row &row) {
  const int count = int(min_of(4, columns.n - i));
  const int64_t pixel = y * args.width + columns.x + i;
  const uint8_t *moving = args.moving ? args.moving + pixel : nullptr;
  const uint8_t *still = args.still ? args.still + 3 * pixel : frame.in + 3 * pixel;
  if (moving && count == 4 && !(moving[0] | moving[1] | moving[2] | moving[3]))
    return save(row.sum + 4 * i, load_rgb(still) - load(row.colour + 4 * i));
  memset(row.sum + 4 * i, 0, 16 * sizeof(float));
  for (int k = 0; k < count; ++k) {
    const int64_t j = i + k;
    if (moving && !moving[k]) {
      for (int c = 0; c < 3; ++c) row.sum[4 * j + c] = float(still[3 * k + c]) - row.colour[4 * j + c];
      continue;
    }
    const float *low = line + columns.left[j] + row.low[j], *high = line + columns.left[j] + row.high[j];
    const Vector f = all(columns.f[j]);
    const Vector darker = fma(load(low + kTransform), f, load(low));
    const Vector brighter = fma(load(high + kTransform), f, load(high));
    const Vector transform = fma(brighter - darker, all(row.level[j]), darker);
    add_fold(row.sum + 4 * j, transform * spread(row.colour + 4 * j));
  }
}

constexpr Noise<PART> kNoise;

// The n bytes from `begin` on of row y, in whose pixels nothing moves; `added` is their dither.
void blend(const stylecine_recolour_args &args, const Frame &frame, int64_t begin, int64_t n, const float *added) {
  const uint8_t *in = frame.in + begin, *still = args.still ? args.still + begin : in;
  uint8_t *out = frame.out + begin;
  if (still == in || frame.amount == 1) {
    if (out != still) memcpy(out, still, size_t(n));
    return;
  }
  const auto sixteen = [&](const uint8_t *from, const uint8_t *to, int64_t i, uint8_t *bytes) {
    const Vector first = load_bytes(from), mixed = fma(load_bytes(to) - first, all(frame.amount), first);
    save_bytes(bytes, clamp(mixed, 0, 255) + load(added + i));
  };
  int64_t i = 0;
  for (; i + 16 <= n; i += 16) sixteen(in + i, still + i, i, out + i);
  if (i == n) return;
  uint8_t from[16] = {}, to[16] = {};  // copies, as nothing may be read or written past the end
  memcpy(from, in + i, size_t(n - i));
  memcpy(to, still + i, size_t(n - i));
  sixteen(from, to, i, from);
  memcpy(out + i, from, size_t(n - i));
}

// A bit for each group of n pixels in which something moves.
uint64_t moving_groups(const uint8_t *moving, int64_t n) {
  uint64_t found = 0;
  int64_t i = 0;
  for (; i + GROUP <= n; i += GROUP) {
    uint64_t half[2];
    memcpy(half, moving + i, sizeof half);
    found |= uint64_t((half[0] | half[1]) != 0) << i / GROUP;
  }
  for (; i < n; ++i) found |= uint64_t(moving[i] != 0) << i / GROUP;
  return found;
}

// The pixels of a row of a part, in some of which something moves; one transform in a vector.
void recolour_row(const stylecine_recolour_args &args, const Frame &frame, const Columns &columns, int64_t y,
                  const float *line, Row &row) {
  const int64_t n = columns.n, pixel = y * args.width + columns.x;
  const float *added = kNoise.pixel + kNoise.start(y, columns.x);
  read_pixels(args, frame.in + 3 * pixel, columns, row);
  for (int64_t i = 0; i < n; i += 4) sum_four(args, frame, line, columns, y, i, row);
  const auto four = [&](int64_t i, uint8_t *bytes) {
    const Vector from = load(row.colour + 4 * i), difference = clamp(from + load(row.sum + 4 * i), 0, 255) - from;
    save_rgb(bytes, clamp(fma(difference, all(frame.amount), from), 0, 255) + spread(added + i));
  };
  uint8_t *out = frame.out + 3 * pixel;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) four(i, out + 3 * i);
  if (i == n) return;
  uint8_t last[12];  // a copy, as nothing may be written past the end
  four(i, last);
  memcpy(out + 3 * i, last, 3 * size_t(n - i));
}

#if defined(__AVX2__)
constexpr int64_t LUMAS = 8;     // of a grid, at most, for numbers to be looked up in registers
constexpr int64_t NUMBERS = 12;  // of a transform: four columns, for red, green, blue and 1, of three channels
constexpr int64_t kTables = NUMBERS * 4 * LUMAS;   // floats
constexpr int64_t MAX_COLUMNS = PART / GROUP + 1;  // columns of the grid in a part, if none is narrower than a group

// The transforms between two columns and two rows of the grid. For each number four tables: its values at the left, how
// much they grow to the right, and how much both grow from each luma to the next.
struct Cell {
  alignas(64) float upper[kTables], growth[kTables];  // at the upper row, and from it to the lower one
};

// The transforms of all lumas at a point of the grid: each number's, one behind the other.
void read_point(const stylecine_recolour_args &args, int64_t row, int64_t column, float *numbers) {
  const int64_t plane = args.gh * args.gw * kTransform;
  alignas(64) float all[LUMAS * kTransform], four[4 * LUMAS];
  for (int64_t d = 0; d < LUMAS; ++d)
    save(all + d * kTransform,
         load(args.grid + min_of(d, args.depth - 1) * plane + (row * args.gw + column) * kTransform));
  for (int64_t k = 0; k < 4; ++k) {
    for (int64_t d = 0; d < LUMAS; d += 4) transpose(all + d * kTransform + 4 * k, kTransform, four + d, LUMAS);
    for (int64_t i = 0; i < 3 * LUMAS; ++i) numbers[3 * k * LUMAS + i] = four[i] * (k < 3 ? 1.0f : 255.0f);
  }
}

void read_cell(const stylecine_recolour_args &args, const Between &down, int64_t column, Cell &cell) {
  const auto read_row = [&](int64_t row, float *tables) {
    alignas(64) float left[NUMBERS * LUMAS], right[NUMBERS * LUMAS];
    read_point(args, row, column, left);
    read_point(args, row, min_of(column + 1, args.gw - 1), right);
    for (int64_t k = 0; k < NUMBERS; ++k) {
      const float *at_left = left + k * LUMAS, *at_right = right + k * LUMAS;
      float *here = tables + k * 4 * LUMAS;
      for (int64_t d = 0; d < LUMAS; ++d) here[d] = at_left[d], here[LUMAS + d] = at_right[d] - at_left[d];
      for (int64_t d = 0; d + 1 < LUMAS; ++d) {
        here[2 * LUMAS + d] = here[d + 1] - here[d];
        here[3 * LUMAS + d] = here[LUMAS + d + 1] - here[LUMAS + d];
      }
      here[3 * LUMAS - 1] = here[4 * LUMAS - 1] = 0;  // nothing is brighter than white
    }
  };
  read_row(down.first, cell.upper);
  read_row(down.second, cell.growth);
  for (int64_t i = 0; i < kTables; ++i) cell.growth[i] -= cell.upper[i];
}

// What a part reads of the grid, as far as it was needed.
struct Cells {
  Cell cell[MAX_COLUMNS];
  alignas(64) float tables[MAX_COLUMNS * kTables];  // the cells at one row of pixels
  int32_t row = -1;                                 // of the grid
  Between down;                                     // where the row of pixels lies
  uint64_t read, current;                           // bits: the cells that were read, those that are in `tables`
};

// To be called for each row of pixels.
void go_to(const Between &down, Cells &cells) {
  if (cells.row != down.first) cells.read = 0;
  cells.row = down.first, cells.down = down, cells.current = 0;
}

const float *tables_at(const stylecine_recolour_args &args, const Columns &columns, int64_t column, Cells &cells) {
  const uint64_t bit = uint64_t(1) << column;
  Cell &cell = cells.cell[column];
  float *tables = cells.tables + column * kTables;
  if (cells.current & bit) return tables;
  if (!(cells.read & bit)) read_cell(args, cells.down, columns.first + column, cell);
  for (int64_t i = 0; i < kTables; i += 16)
    save(tables + i, fma(load(cell.growth + i), all(cells.down.f), load(cell.upper + i)));
  cells.read |= bit, cells.current |= bit;
  return tables;
}

// A row of a part: colours, and where they lie among the lumas of the grid.
struct Pixels {
  alignas(64) float colour[3][PART], level[PART];
};

void read_group(const uint8_t *frame, int64_t count, float most, int64_t i, Pixels &pixels) {
  uint8_t last[3 * GROUP];
  if (count < GROUP) {  // a copy, as nothing may be read past the end
    memset(last, 0, sizeof last), memcpy(last, frame, 3 * size_t(count));
    frame = last;
  }
  const Vector red = load_channel(frame, 0), green = load_channel(frame, 1), blue = load_channel(frame, 2);
  const Vector luma = fma(red, all(0.299f), fma(green, all(0.587f), blue * all(0.114f))) * all(1 / 255.f);
  save(pixels.colour[0] + i, red), save(pixels.colour[1] + i, green), save(pixels.colour[2] + i, blue);
  save(pixels.level + i, clamp(luma, 0, 1) * all(most));
}

// The group that begins at pixel i of a row of a part; look(t, luma, a, b) reads the t-th table of its transforms, and
// the one behind it. The other arrays begin at the group; moving and still may be NULL.
template <class Look>
STYLECINE_INLINE void recolour_group(const Pixels &pixels, int64_t i, float amount, const uint8_t *moving,
                                     const uint8_t *still, const float *across, const float *added, uint8_t *out,
                                     Look &&look) {
  const Vector level = load(pixels.level + i);
  const Index luma = truncated(level);
  const Vector brighter = level - value(luma), right = load(across);
  const auto number = [&](int64_t k) {
    Vector here, to_the_right, up, up_to_the_right;
    look(4 * k, luma, here, to_the_right);
    look(4 * k + 2, luma, up, up_to_the_right);
    return fma(fma(up_to_the_right, right, up), brighter, fma(to_the_right, right, here));
  };
  Vector changed[3];
  for (int c = 0; c < 3; ++c) {
    const Vector from = load(pixels.colour[c] + i);
    Vector sum = number(9 + c);
    for (int k = 0; k < 3; ++k) sum = fma(number(3 * k + c), load(pixels.colour[k] + i), sum);
    Vector to = clamp(from + sum, 0, 255);
    if (moving) to = choose(moving, to, still ? load_channel(still, c) : from);
    changed[c] = clamp(fma(to - from, all(amount), from), 0, 255) + load(added);
  }
  save_channels(out, changed);
}

// A row of a part in groups. A group may reach into a second column of the grid. `changing` has a bit for each group in
// which something moves. They are all read before any is changed, as a group's look-ups would wait for its own luma.
void look_up_row(const stylecine_recolour_args &args, const Frame &frame, const Columns &columns, int64_t y,
                 uint64_t changing, Cells &cells) {
  const int64_t n = columns.n, begin = y * args.width + columns.x, start = kNoise.start(y, columns.x);
  Pixels pixels;
  const float most = float(args.depth - 1);
  for (int64_t i = 0; i < n; i += GROUP)
    if (changing >> i / GROUP & 1) read_group(frame.in + 3 * (begin + i), min_of(GROUP, n - i), most, i, pixels);
  for (int64_t i = 0; i < n; i += GROUP) {
    const int64_t count = min_of(GROUP, n - i), pixel = begin + i;
    const uint8_t *moving = args.moving ? args.moving + pixel : nullptr;
    const uint8_t *still = args.still ? args.still + 3 * pixel : nullptr;
    uint8_t *out = frame.out + 3 * pixel;
    if (!(changing >> i / GROUP & 1)) {
      if (still || frame.in != frame.out) blend(args, frame, 3 * pixel, 3 * count, kNoise.byte + 3 * (start + i));
      continue;
    }
    uint8_t moved[GROUP], kept[3 * GROUP], changed[3 * GROUP];
    if (count < GROUP) {  // copies, as nothing may be read or written past the end
      memset(moved, 0, sizeof moved), memset(kept, 0, sizeof kept);
      if (moving) memcpy(moved, moving, size_t(count)), moving = moved;
      if (still) memcpy(kept, still, 3 * size_t(count)), still = kept;
      out = changed;
    }
    const auto recolour_with = [&](auto &&look) {
      recolour_group(pixels, i, frame.amount, moving, still, columns.f + i, kNoise.pixel + start + i, out, look);
    };
    const int32_t first = columns.left[i], last = columns.left[i + count - 1];
    const float *tables = tables_at(args, columns, first / kTables, cells);
    if (first == last) {
      recolour_with([&](int64_t t, Index luma, Vector &a, Vector &b) { look_up(tables + t * LUMAS, luma, a, b); });
    } else {
      const float *others = tables_at(args, columns, last / kTables, cells);
      const Lanes other = differing(columns.left + i, first);
      recolour_with([&](int64_t t, Index luma, Vector &a, Vector &b) {
        look_up(tables + t * LUMAS, others + t * LUMAS, other, luma, a, b);
      });
    }
    if (count < GROUP) memcpy(frame.out + 3 * pixel, changed, 3 * size_t(count));
  }
}
#endif

}  // namespace

void recolour_slice(const stylecine_recolour_args &args, const Slice &slice) {
  Columns columns = {};
  // For each row of a part; prepare(down) and recolour(frame, y, changing) where something moves.
  const auto each_row = [&](auto &&prepare, auto &&recolour) {
    for (int64_t y = slice.y0; y < slice.y1; ++y) {
      const int64_t pixel = y * args.width + columns.x, n = columns.n;
      const uint64_t changing = args.moving ? moving_groups(args.moving + pixel, n) : ~uint64_t(0);
      if (changing) prepare(across(y, args.height, args.gh));
      for (int64_t i = slice.frame0; i < slice.frame1; ++i) {
        const Frame frame = frame_of(args, i);
        if (changing) recolour(frame, y, changing);
        else blend(args, frame, 3 * pixel, 3 * n, kNoise.byte + 3 * kNoise.start(y, columns.x));
      }
    }
  };
#if defined(__AVX2__)
  if (args.depth <= LUMAS && GROUP * args.gw <= args.width) {
    for (int64_t x = slice.x0; x < slice.x1; x += columns.n) {
      Cells cells;
      plan(args, x, slice.x1, MAX_COLUMNS, kTables, columns);
      each_row([&](const Between &down) { go_to(down, cells); },
               [&](const Frame &frame, int64_t y, uint64_t changing) {
                 look_up_row(args, frame, columns, y, changing, cells);
               });
    }
    return;
  }
#endif
  alignas(64) float line[CELLS * kCell];
  Row row = {};
  for (int64_t x = slice.x0; x < slice.x1; x += columns.n) {
    plan(args, x, slice.x1, CELLS / args.depth, args.depth * kCell, columns);
    each_row([&](const Between &down) { read_line(args, down, columns, line); },
             [&](const Frame &frame, int64_t y, uint64_t) { recolour_row(args, frame, columns, y, line, row); });
  }
}

void recolour(const stylecine_recolour_args &args, stylecine_cpu *cpu) {
  parallel(cpu, (args.height + ROWS - 1) / ROWS, [&](int64_t band) {
    recolour_slice(args, {0, args.frames, band * ROWS, min_of((band + 1) * ROWS, args.height), 0, args.width});
  });
}

}  // namespace STYLECINE_SET
}  // namespace stylecine
